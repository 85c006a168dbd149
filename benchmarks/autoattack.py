"""Dual-AutoAttack's time an image-step over its floor, and its white-box parts beside AutoAttack's own code.

    python -m benchmarks.autoattack [--device cuda] [--out DIR] [--tiny]

An image-step is one gradient of one image; the floor, a forward and backward pass with respect to the input
alone on the whole batch. Random weights and tiny budgets, so that hardly an image falls and all parts run in
full. The peer needs pyautoattack. Strength on trained classifiers: benchmarks/apgd.py.
"""

from __future__ import annotations

import logging
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.common import (
    Counter,
    Row,
    Table,
    batch,
    classifier,
    climb,
    in_set_up_process,
    parsed,
    parser,
    show,
    synchronise,
)
from benchmarks.peers import optional
from dualperturb.attacks.auto import auto_attack
from dualperturb.core.balls import Dual
from dualperturb.core.norms import L2, Linf

RADIUS = 1e-5


class Case(NamedTuple):
    network: str
    side: int
    images: int
    steps: int
    targets: int


CASES = [Case("resnet18", 32, 16, 10, 2)]
GPU_CASES = [Case("resnet18", 32, 512, 20, 3), Case("resnet34", 224, 32, 10, 2)]
TINY = [Case("three_layers", 8, 2, 5, 1)]


def main(given: list[str] | None = None) -> None:
    options = parsed(parser(__doc__), given)
    torch.set_num_threads(1)
    cases = TINY if options.tiny else CASES if options.device.type == "cpu" else GPU_CASES
    show([Table("autoattack", (row for case in cases for row in measured(case, options)))], options.out)


def measured(case: Case, options: Namespace) -> Iterator[Row]:
    model = Counter(classifier(case.network, options.device))
    images, _, foreground = batch(case.images, case.side, options.device)
    with torch.no_grad():
        labels = model(images).argmax(dim=1)
    settings = {"steps": case.steps, "targets": case.targets}
    runs: dict[str, Callable[[], object]] = {
        "floor": lambda: [climb(model, images, labels) for _ in range(case.steps)],
        "AutoAttack's parts, Linf": lambda: auto_attack(model, images, labels, Linf(RADIUS), **settings),
        "Dual-AutoAttack, L2": lambda: auto_attack(
            model, images, labels, Dual(L2(RADIUS), L2(RADIUS), foreground), **settings
        ),
    }
    if optional("pyautoattack") is not None:
        runs["pyautoattack, Linf"] = lambda: peer(model, images, labels, case)
    climb(model, images, labels)
    floor = 0.0
    for name, run in runs.items():
        model.count = 0
        synchronise(options.device)
        begun = time.perf_counter()
        run()
        synchronise(options.device)
        seconds = time.perf_counter() - begun
        each = 1000 * seconds / model.count
        floor = floor or each  # it comes first
        yield {
            **case._asdict(),
            "run": name,
            "seconds": seconds,
            "image_steps": model.count,
            "ms_an_image_step": each,
            "over_floor": each / floor,
        }


def peer(model: nn.Module, images: Tensor, labels: Tensor, case: Case) -> None:
    logging.getLogger("auto-attack").setLevel(logging.ERROR)
    parts = ["apgd-ce", "apgd-dlr", "apgd-t"]
    with torch.random.fork_rng():
        attack = optional("pyautoattack").AutoAttack(
            model, norm="Linf", eps=RADIUS, version="custom", attacks=parts, seed=0, device=images.device
        )
        attack.apgd.n_restarts, attack.apgd_targeted.n_target_classes = 1, case.targets
        attack.apgd.n_iter = attack.apgd_targeted.n_iter = case.steps
        attack.run_standard_evaluation(images, labels, batch_size=len(images))


if __name__ == "__main__":
    in_set_up_process(main)
