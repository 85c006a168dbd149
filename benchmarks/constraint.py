"""Examples that fool and hold a bound on the foreground score: the constraint beside sums.

    python -m benchmarks.constraint [--workspace DIR] [--images N] [--device cuda] [--out DIR] [--tiny]

DIR: where the pipeline ran, by default this folder. The dual-perturbation attack at params.yaml's budgets;
every attack takes 40 gradients of the classifier. For each bound: how many images an attack fools while the
built-in model's score is at least the bound; the sum's number is that of its best weight for this bound. The
images on which the constraint's steps were chosen (`CHOSEN_ON`) are not among those reported.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.common import Row, Table, in_set_up_process, parsed, parser, show
from benchmarks.shapes6 import CLASSIFIERS, add_workspace, subject, threat
from dualperturb.core.pgd import pgd
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.saliency import foreground_score

CHOSEN_ON = np.random.default_rng(0).choice(1000, 200, replace=False)[:100]
WEIGHTS = (0, 0.1, 0.3, 1, 3, 10)
BOUNDS: tuple[float | str, ...] = ("clean", "clean-0.05", 0.5, 0.9)
STEPS, STEP_SIZE = 40, 0.25
BATCH = 100


def main(given: list[str] | None = None) -> None:
    options = parsed(add_workspace(parser(__doc__), images=200), given)
    show([Table("constraint", measured(options))], options.out)


def measured(options: Namespace) -> Iterator[Row]:
    for name in CLASSIFIERS:
        attacked = held_out(subject(options, name), options)
        for norm in [name.partition("/")[2]] if "/" in name else ["L2", "Linf"]:
            yield from rows(attacked, name, norm, 4 if options.tiny else STEPS)


def held_out(attacked: Subject, options: Namespace) -> Subject:
    """The same on images that nothing was chosen on."""
    if options.tiny:
        return attacked
    others = np.setdiff1d(np.arange(len(attacked.data)), CHOSEN_ON)
    return replace(attacked, indices=np.random.default_rng(1).permutation(others)[: options.images])


def rows(attacked: Subject, name: str, norm: str, steps: int) -> Iterator[Row]:
    def run(**how: Any) -> tuple[Tensor, Tensor, Tensor]:
        return outcomes(attacked, norm, **how)

    sums = {weight: run(steps=steps, salience_weight=weight) for weight in WEIGHTS}
    for bound in BOUNDS:
        best = max(WEIGHTS, key=lambda weight: held(bound, *sums[weight]))
        yield {
            "classifier": name,
            "norm": norm,
            "bound": str(bound),
            "images": len(attacked.indices),
            "best_sum": held(bound, *sums[best]),
            "its_weight": best,
            "constraint": held(bound, *run(steps=steps, min_foreground_score=bound)),
        }


def outcomes(attacked: Subject, norm: str, **how: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Whether each image was fooled, its score then, and its score before the attack, each (N,)."""
    found = []
    for batch in attacked.batches(BATCH):
        ball = threat(norm, True, attacked.data.side).ball(batch.foreground)
        indices = batch.indices.tolist()
        asked = {"step_size": STEP_SIZE, "indices": indices, "saliency": attacked.saliency, **how}
        result = pgd(attacked.model, batch.images, batch.labels, ball, **asked)
        with torch.no_grad():
            scores = [
                foreground_score(attacked.saliency(images), batch.foreground)
                for images in (result.images, batch.images)
            ]
        found.append((result.success, *scores))
    fooled, after, before = (torch.cat(parts) for parts in zip(*found, strict=True))
    return fooled, after, before


def held(bound: float | str, fooled: Tensor, after: Tensor, before: Tensor) -> int:
    least = before - float(bound.partition("-")[2] or 0) if isinstance(bound, str) else bound
    return int((fooled & (after >= least)).sum())


if __name__ == "__main__":
    in_set_up_process(main)
