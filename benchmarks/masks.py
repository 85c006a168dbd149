"""Throughput of the masks' stage over that of its saliency model's forward pass.

    python -m benchmarks.masks [--device cuda] [--out DIR] [--tiny]

The stage's function reads uint8 images, computes log densities, thresholds them, scores them and writes both
files; the forward pass is the model's alone, on the same batches, already floats on the device. Synthetic
images, the built-in model; processor time on one thread of a CPU, wall time on a GPU.
"""

from __future__ import annotations

import tempfile
from argparse import Namespace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from benchmarks.common import (
    Row,
    Table,
    Target,
    clock,
    in_set_up_process,
    in_turn,
    parsed,
    parser,
    ratio,
    show,
)
from dualperturb.core.images import ImageSet
from dualperturb.masks import write_masks
from dualperturb.saliency.builtin import BuiltinSaliency


class Case(NamedTuple):
    """batch: masks.DATASET.batch_size of params.yaml for images of this side."""

    side: int
    images: int
    batch: int


CASES = [Case(32, 2000, 250), Case(224, 128, 32)]
GPU_CASES = [Case(32, 20000, 250), Case(224, 2048, 32), Case(224, 2048, 256)]
TINY = [Case(16, 8, 4)]


def main(given: list[str] | None = None) -> None:
    options = parsed(parser(__doc__), given)
    cases = TINY if options.tiny else CASES if options.device.type == "cpu" else GPU_CASES
    show([Table("masks", [measured(case, options) for case in cases])], options.out)


def targets(rows: pd.DataFrame) -> list[Target]:
    return [
        Target(5, f"masks' throughput over the forward pass's, {row.side}x{row.side}", row.share, 0.9, False)
        for row in rows.itertuples()
    ]


def measured(case: Case, options: Namespace) -> Row:
    pixels = np.random.default_rng(0).integers(0, 256, (case.images, 3, case.side, case.side), dtype=np.uint8)
    data = ImageSet(pixels, np.zeros(case.images, dtype=np.int64), ("only",))
    model = BuiltinSaliency().to(options.device)
    parts = [
        (torch.from_numpy(pixels[first : first + case.batch]).float() / 255).to(options.device)
        for first in range(0, case.images, case.batch)
    ]

    @torch.no_grad()
    def forward() -> None:
        for part in parts:
            model(part)

    def stage() -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_masks(
                Path(folder),
                "test",
                data,
                model,
                own=None,
                threshold="log",
                batch_size=case.batch,
                device=options.device,
                progress=lambda *_: None,
            )

    taken = in_turn({"forward": forward, "stage": stage}, options.repeats, clock(options.device, 1))
    return {
        **case._asdict(),
        "forward_images_a_second": case.images / median(taken["forward"]),
        "stage_images_a_second": case.images / median(taken["stage"]),
        "share": ratio(taken, "forward", "stage"),
    }


if __name__ == "__main__":
    in_set_up_process(main)
