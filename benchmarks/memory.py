"""What an attack holds beyond its floor, in buffers as large as the batch of images.

    python -m benchmarks.memory [--device cuda] [--out DIR] [--tiny]

Peak of the bytes that torch holds while a run lasts, over what it held before: on a CPU summed from the
profiler's record of every allocation, on a GPU as the allocator counts them. Floor: one forward and backward
pass with respect to the input alone.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.common import (
    Row,
    Table,
    Target,
    batch,
    classifier,
    climb,
    in_set_up_process,
    parsed,
    parser,
    show,
)
from dualperturb.core.balls import Dual
from dualperturb.core.norms import L2, Linf
from dualperturb.core.pgd import pgd


class Case(NamedTuple):
    network: str
    side: int
    images: int


CASES = [Case("three_layers", 32, 128), Case("resnet18", 32, 64), Case("resnet34", 224, 4)]
GPU_CASES = [Case("three_layers", 32, 1024), Case("resnet18", 32, 512), Case("resnet34", 224, 64)]
TINY = [Case("three_layers", 8, 2)]
STEPS = 3


def main(given: list[str] | None = None) -> None:
    options = parsed(parser(__doc__), given)
    cases = TINY if options.tiny else CASES if options.device.type == "cpu" else GPU_CASES
    show([Table("memory", (row for case in cases for row in measured(case, options)))], options.out)


def targets(rows: pd.DataFrame) -> list[Target]:
    return [
        Target(
            7,
            f"buffers of the {row.attack} attack, {row.network} at {row.side}x{row.side}",
            row.buffers,
            4,
            True,
        )
        for row in rows.itertuples()
        if row.attack != "floor"
    ]


def measured(case: Case, options: Namespace) -> Iterator[Row]:
    model = classifier(case.network, options.device)
    images, labels, foreground = batch(case.images, case.side, options.device)
    balls = {
        "PGD L2": L2(0.3),
        "PGD Linf": Linf(4 / 255),
        "dual L2": Dual(L2(0.3), L2(2.0), foreground),
        "dual Linf": Dual(Linf(4 / 255), Linf(20 / 255), foreground),
    }
    runs: dict[str, Callable[[], object]] = {"floor": lambda: climb(model, images, labels)}
    for name, ball in balls.items():
        runs[name] = lambda b=ball: pgd(model, images, labels, b, steps=STEPS, step_size=0.25)
    size = images.numel() * images.element_size()
    floor = peak(runs["floor"], options.device)
    for name, run in runs.items():
        found = floor if name == "floor" else peak(run, options.device)
        yield {
            **case._asdict(),
            "attack": name,
            "peak_mib": found / 2**20,
            "buffers": (found - floor) / size,
        }


def peak(run: Callable[[], object], device: torch.device) -> int:
    run()  # what is made once and kept, such as chosen algorithms, is no part of it
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        run()
    assert record.profiler is not None and record.profiler.kineto_results is not None
    changes = [event for event in record.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = highest = 0
    for event in sorted(changes, key=lambda event: event.start_ns()):
        held += event.nbytes()
        highest = max(highest, held)
    return highest


if __name__ == "__main__":
    in_set_up_process(main)
