"""Dual-AutoAttack on balls with one region against AutoAttack's own code and PGD, as a table in Markdown.

    python benchmarks/apgd.py [--classifier DIR] [--data DIR] [--images N] [--budget NORM:VALUE ...]

DIR: a classifier and a prepared data set of the pipeline. Budgets at the paper's scale. Of AutoAttack the
same parts run: APGD on cross-entropy, on DLR and on targeted DLR, 100 steps, up to nine other classes. Times
are of the processor, on one thread. Needs the package pyautoattack.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from dualperturb.attacks.auto import auto_attack
from dualperturb.core.budgets import applied_radius
from dualperturb.core.classifiers.storage import load_classifier
from dualperturb.core.images import load_split
from dualperturb.core.norms import BALLS, L2, Linf
from dualperturb.core.pgd import pgd
from dualperturb.errors import UserError

STEPS = 100


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--classifier", type=Path, default=Path("models/shapes6/at_pgd/L2/0"))
    arguments.add_argument("--data", type=Path, default=Path("data/prepared/shapes6"))
    arguments.add_argument("--images", type=int, default=200)
    arguments.add_argument("--budget", action="append", help="default: L2:2 and Linf:4")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    try:
        model, data = load_classifier(given.classifier), load_split(given.data, "test")
        budgets = [parsed(text, data.side) for text in given.budget or ["L2:2", "Linf:4"]]
        chosen = data.choose(given.images, 0)
    except UserError as error:
        sys.exit(f"error: {error}")
    images, labels = (
        torch.from_numpy(data.images[chosen]).float() / 255,
        torch.from_numpy(data.labels[chosen]),
    )
    print(f"{len(images)} images; right: images still classified as their label; s: processor time\n")
    print(
        "| budget | right: ours | AutoAttack | PGD-100 | s: ours | AutoAttack | PGD-100 | ours / AutoAttack |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for text, ball in budgets:
        print(row(text, model, images, labels, ball), flush=True)


def parsed(text: str, side: int) -> tuple[str, L2 | Linf]:
    """`L2:2` -> the text and the ball. Raises UserError."""
    norm, _, value = text.partition(":")
    try:
        return text, BALLS[norm](applied_radius(norm, float(value), side, "auto"))
    except (KeyError, ValueError) as error:
        raise UserError(f"--budget: found {text!r}, expected L2:VALUE or Linf:VALUE") from error


def row(text: str, model: nn.Module, images: Tensor, labels: Tensor, ball: L2 | Linf) -> str:
    attacks: list[Callable[[], Tensor]] = [
        lambda: auto_attack(model, images, labels, ball, steps=STEPS).images,
        lambda: autoattack(model, images, labels, ball),
        lambda: pgd(model, images, labels, ball, steps=STEPS, step_size=0.1).images,
    ]
    right, seconds = [], []
    for attack in attacks:
        begun = time.process_time()
        found = attack()
        seconds.append(time.process_time() - begun)
        with torch.no_grad():
            right.append(int((model(found).argmax(dim=1) == labels).sum()))
    counts, times = " | ".join(map(str, right)), " | ".join(f"{taken:.1f}" for taken in seconds)
    return f"| {text} | {counts} | {times} | {seconds[0] / seconds[1]:.2f} |"


def autoattack(model: nn.Module, images: Tensor, labels: Tensor, ball: L2 | Linf) -> Tensor:
    from pyautoattack import AutoAttack

    logging.getLogger("auto-attack").setLevel(logging.ERROR)
    norm = next(name for name, kind in BALLS.items() if isinstance(ball, kind))
    parts = ["apgd-ce", "apgd-dlr", "apgd-t"]
    attack = AutoAttack(model, norm=norm, eps=ball.radius, version="custom", attacks=parts, seed=0)
    with torch.no_grad():
        classes = model(images[:1]).shape[1]
    attack.apgd.n_restarts, attack.apgd_targeted.n_target_classes = 1, min(classes - 1, 9)
    found: Tensor = attack.run_standard_evaluation(images, labels, batch_size=len(images))[0]
    return found


if __name__ == "__main__":
    main()
