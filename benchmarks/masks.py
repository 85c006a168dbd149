"""Throughput of the masks' stage over that of its saliency model's forward pass.

    python -m benchmarks.masks [--device cuda] [--out DIR] [--tiny]

The stage's function reads uint8 images, computes log densities, thresholds them, scores them and writes both
files; the forward pass is the model's alone, on the same batches, already floats on the device, in the same
precision. Synthetic images. Models: the built-in one, whose forward pass takes little longer than reading and
writing files, and DeepGaze IIE's network with random weights, where the package deepgaze_pytorch is there.

Processor time on one thread of a CPU: the stage has no other, so all of its work counts. Wall time on a GPU,
which computes a batch while the host writes the one before. share: the forward pass's time over the stage's,
which take turns. own_share: that of the passes within the stage's own run, which other work on the machine
hardly moves; the targets take it, where it is there: on a CPU.
"""

from __future__ import annotations

import tempfile
import time
from argparse import Namespace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

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
from dualperturb.masks.splits import write_masks
from dualperturb.saliency.builtin import BuiltinSaliency

BUILTIN, DEEPGAZE = "builtin", "deepgaze_iie_random_weights"


class Case(NamedTuple):
    """batch: images at a time; repeats: at most so many timed runs."""

    model: str
    side: int
    images: int
    batch: int
    repeats: int = 100


CASES = [Case(BUILTIN, 32, 2000, 250), Case(BUILTIN, 224, 128, 32), Case(DEEPGAZE, 224, 4, 2, repeats=2)]
GPU_CASES = [
    Case(BUILTIN, 32, 20000, 250),
    Case(BUILTIN, 224, 2048, 32),
    Case(BUILTIN, 224, 2048, 256),
    Case(DEEPGAZE, 224, 64, 16, repeats=2),
]
TINY = [Case(BUILTIN, 16, 8, 4), Case(DEEPGAZE, 32, 2, 1)]


class Watched(nn.Module):
    """A saliency model, and the processor seconds that its forward passes took."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.seconds = model, 0.0

    def forward(self, images: Tensor) -> Tensor:
        begun = time.process_time()
        log_density: Tensor = self.model(images)
        self.seconds += time.process_time() - begun
        return log_density


def random_deepgaze(side: int) -> nn.Module:
    """DeepGaze IIE as the stage runs it, but for its weights, which are those of a network never trained."""
    # Not at the top: it reads files by what a checkout alone does not have.
    from dualperturb.saliency.deepgaze import DeepGazeSaliency, build_network

    model = DeepGazeSaliency.__new__(DeepGazeSaliency)  # its constructor loads the published weights
    nn.Module.__init__(model)
    model.side = side
    model.register_buffer("bias", torch.zeros(1, 1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.network = build_network("IIE")
    return model.eval()


def main(given: list[str] | None = None) -> None:
    options = parsed(parser(__doc__), given)
    cases = TINY if options.tiny else CASES if options.device.type == "cpu" else GPU_CASES
    if find_spec("deepgaze_pytorch") is None:
        print("DeepGaze IIE's network is left out: the package deepgaze_pytorch is not installed\n")
        cases = [case for case in cases if case.model != DEEPGAZE]
    show([Table("masks", (measured(case, options) for case in cases))], options.out)


def targets(rows: pd.DataFrame) -> list[Target]:
    return [
        Target(
            5,
            f"masks' throughput over the forward pass's, {row.model}, {row.side}x{row.side} by {row.batch}",
            row.share if pd.isna(row.own_share) else row.own_share,
            0.9,
            False,
        )
        for row in rows.itertuples()
    ]


def measured(case: Case, options: Namespace) -> Row:
    repeats = min(options.repeats, case.repeats)
    pixels = np.random.default_rng(0).integers(0, 256, (case.images, 3, case.side, case.side), dtype=np.uint8)
    data = ImageSet(pixels, np.zeros(case.images, dtype=np.int64), ("only",))
    model = BuiltinSaliency() if case.model == BUILTIN else random_deepgaze(64 if options.tiny else 448)
    model = Watched(model.to(options.device))
    own: list[float] = []
    parts = [
        (torch.from_numpy(pixels[first : first + case.batch]).float() / 255).to(options.device)
        for first in range(0, case.images, case.batch)
    ]

    @torch.no_grad()
    def forward() -> None:
        with torch.autocast(options.device.type, torch.float16, enabled=options.device.type == "cuda"):
            for part in parts:
                model(part)

    def stage() -> None:
        model.seconds, begun = 0.0, time.process_time()
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
        own.append(model.seconds / (time.process_time() - begun))

    taken = in_turn({"forward": forward, "stage": stage}, repeats, clock(options.device, 1))
    return {
        **{name: getattr(case, name) for name in ("model", "side", "images", "batch")},
        "forward_images_a_second": case.images / median(taken["forward"]),
        "stage_images_a_second": case.images / median(taken["stage"]),
        "share": ratio(taken, "forward", "stage"),
        "own_share": median(own) if options.device.type == "cpu" else float("nan"),
    }


if __name__ == "__main__":
    in_set_up_process(main)
