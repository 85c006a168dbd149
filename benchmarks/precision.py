"""How much faster an attack's step is in bfloat16, channels last and compiled.

    python -m benchmarks.precision [--device cuda] [--out DIR] [--tiny]

A step: forward and backward with respect to the input alone. Wall time, on two threads on a CPU. autocast:
the classifier itself under mixed precision; copy: the copy that attacks climb (bfloat16, channels last,
BatchNorm folded); compiled: by torch.compile, on a GPU with CUDA graphs, too. The last two lines time the
whole attack, of twice as many steps as the others; `--compile copy` leaves them out. What cannot be compiled
is left out, with a line that says why.
"""

from __future__ import annotations

import copy
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks.common import (
    Row,
    Table,
    Target,
    batch,
    classifier,
    climb,
    clock,
    in_set_up_process,
    in_turn,
    parsed,
    parser,
    ratio,
    show,
)
from dualperturb.core.devices.precision import mixed
from dualperturb.core.gradient_copy import GradientCopy
from dualperturb.core.norms import Linf
from dualperturb.core.pgd import pgd

EAGER = "fp32 eager"
COPY = "bf16 copy"
ATTACKS = {"PGD, fp32": "fp32", "PGD, bf16": "bf16"}  # the first is what the others are compared with
Model = Callable[[Tensor], Tensor]


class Case(NamedTuple):
    """limit: how often faster than eager fp32 the copy's step is to be."""

    network: str
    side: int
    images: int
    limit: float


CASES = [
    Case("resnet18", 32, 64, 1.8),
    Case("resnet34", 224, 4, 1.9),
    Case("small_resnet", 32, 128, 1.0),
    Case("efficientnet_lite0", 64, 16, 1.0),
]
GPU_CASES = [
    Case("resnet18", 32, 512, 1.0),
    Case("resnet34", 224, 64, 3.0),
    Case("small_resnet", 32, 1024, 1.0),
]
TINY = [Case("small_resnet", 16, 2, 1.0)]


def main(given: list[str] | None = None) -> None:
    made = parser(__doc__)
    made.add_argument("--steps", type=int, default=4, help="of a timed run (default: 4)")
    made.add_argument(
        "--compile",
        nargs="?",
        const="all",
        choices=("all", "copy"),
        help="time torch.compile, too, of every model (minutes), or of what `compile: auto` compiles,\n"
        "beside what it is compared with alone",
    )
    made.add_argument("--network", help="only the cases of this one")
    options = parsed(made, given)
    cases = TINY if options.tiny else CASES if options.device.type == "cpu" else GPU_CASES
    cases = [case for case in cases if options.network in (None, case.network)]
    show([Table("precision", (row for case in cases for row in measured(case, options)))], options.out)


def targets(rows: pd.DataFrame) -> list[Target]:
    return [
        Target(
            3,
            f"steps of the {COPY} a step of fp32, {row.network} at {row.side}x{row.side}",
            row.faster,
            row.limit,
            False,
        )
        for row in rows[rows["variant"] == COPY].itertuples()
        if row.limit > 1
    ]


def measured(case: Case, options: Namespace) -> list[Row]:
    model = classifier(case.network, options.device)
    images, labels, _ = batch(case.images, case.side, options.device)
    runs: dict[str, Callable[[], object]] = {}
    copy_alone = options.compile == "copy"
    for name, (variant, last) in variants(model, images, options.compile is not None):
        if copy_alone and not name.startswith((EAGER, COPY)):
            continue
        seen = images.contiguous(memory_format=torch.channels_last) if last else images
        run = repeated(variant, seen, labels, options.steps)
        if works(name, run):
            runs[name] = run
    for name, precision in () if copy_alone else ATTACKS.items():
        runs[name] = attack(model, images, labels, 2 * options.steps, precision)
    taken = in_turn(runs, options.repeats, clock(options.device, 1 if options.tiny else 2))
    return [
        {
            "network": case.network,
            "side": case.side,
            "images": case.images,
            "variant": name,
            "ms_a_step": 1000 * median(taken[name]) / (options.steps * (2 if name in ATTACKS else 1)),
            "faster": ratio(taken, next(iter(ATTACKS)) if name in ATTACKS else EAGER, name),
            "limit": case.limit,
        }
        for name in runs
    ]


def variants(model: nn.Module, images: Tensor, compiled: bool) -> Iterator[tuple[str, tuple[Model, bool]]]:
    """(name, (what is climbed, whether it takes images in channels last))."""
    last = copy.deepcopy(model).to(memory_format=torch.channels_last)
    copied = GradientCopy(model, images[:1])

    def autocast(chosen: nn.Module) -> Model:
        def forward(seen: Tensor) -> Tensor:
            with mixed("bf16", seen.device):
                logits: Tensor = chosen(seen)
            return logits

        return forward

    yield EAGER, (model, False)
    yield "fp32 channels last", (last, True)
    yield "bf16 autocast", (autocast(model), False)
    yield "bf16 autocast, channels last", (autocast(last), True)
    yield "fp32 copy", (GradientCopy(model, images[:1], "fp32"), False)
    yield COPY, (copied, False)
    if not compiled:
        return
    modes = ["default", "reduce-overhead"] if images.device.type == "cuda" else ["default"]
    for mode in modes:
        graphs = ", CUDA graphs" if mode != "default" else ""
        yield f"fp32 compiled{graphs}", (torch.compile(model, mode=mode), False)
        yield (
            f"bf16 autocast, channels last, compiled{graphs}",
            (
                torch.compile(autocast(last), mode=mode),
                True,
            ),
        )
        yield f"{COPY} compiled{graphs}", (torch.compile(copied.__call__, mode=mode), False)


def repeated(model: Model, images: Tensor, labels: Tensor, steps: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(steps):
            climb(model, images, labels)

    return run


def works(name: str, run: Callable[[], object]) -> bool:
    """A first run; on stderr what it takes where it compiles, and the reason where it fails."""
    begun = time.perf_counter()
    try:
        run()
    except Exception as error:  # compilers raise many types
        if "compiled" not in name:
            raise
        print(f"{name}: left out ({' '.join(str(error).split())[:160]})", file=sys.stderr)
        return False
    if "compiled" in name:
        print(f"{name}: {time.perf_counter() - begun:.0f} s until it runs", file=sys.stderr)
    return True


def attack(
    model: nn.Module, images: Tensor, labels: Tensor, steps: int, precision: str
) -> Callable[[], object]:
    """The whole call, which makes the copy first and judges in fp32 last."""
    ball = Linf(4 / 255)
    return lambda: pgd(model, images, labels, ball, steps=steps, step_size=0.25, precision=precision)


if __name__ == "__main__":
    in_set_up_process(main)
