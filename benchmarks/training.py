"""An epoch of AT-Dual over (steps + 1) epochs of plain training, with the pipeline's own training loop.

    python -m benchmarks.training [--device cuda] [--seconds S] [--out DIR] [--tiny]

Synthetic images as uint8, random shift and mirror, weight 0 of the salience term, checkpoint included. On a
CPU: processor time on one thread, both in turn. On a GPU: the paper's AT-Dual (ResNet-34, 224x224, 50 steps);
batches are timed for --seconds after the first two, and 13,000 images and 20 epochs are extrapolated from
them, in fp32 and in bf16, beside plain training and the share of the time that the GPU is busy.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from benchmarks.common import (
    CLASSES,
    Row,
    Table,
    Target,
    classifier,
    clock,
    in_set_up_process,
    in_turn,
    parsed,
    parser,
    ratio,
    show,
    synchronise,
)
from dualperturb.attacks.adversary import PgdAdversary
from dualperturb.core.images import ImageSet
from dualperturb.core.threat_model import ThreatModel
from dualperturb.training.loop import TrainingSettings, train

PAPER_IMAGES, PAPER_EPOCHS = 13_000, 20
SKIPPED = 2  # batches before the timed ones: they choose algorithms and fill caches


class Case(NamedTuple):
    network: str
    side: int
    images: int
    batch: int
    steps: int


CASES = [Case("small_resnet", 32, 1280, 128, 3), Case("resnet18", 32, 192, 64, 3)]
GPU_CASE = Case("resnet34", 224, 6400, 64, 50)
TINY = [Case("small_resnet", 16, 8, 4, 2)]


class EnoughError(Exception):
    """Ends a training run whose time is up."""


def main(given: list[str] | None = None) -> None:
    made = parser(__doc__)
    made.add_argument("--seconds", type=float, default=25, help="on a GPU, for each run (default: 25)")
    made.add_argument("--extrapolate", action="store_true", help="as on a GPU, on any device")
    options = parsed(made, given)
    if options.device.type == "cuda" or options.extrapolate:
        case = TINY[0]._replace(images=16) if options.tiny else GPU_CASE
        rows = (
            extrapolated(case, options, precision, p) for precision in ("fp32", "bf16") for p in (True, False)
        )
        show([Table("epoch", rows)], options.out)
    else:
        rows = (row for case in (TINY if options.tiny else CASES) for row in compared(case, options))
        show([Table("training", rows)], options.out)


def targets(rows: pd.DataFrame) -> list[Target]:
    return [
        Target(
            4,
            f"AT-Dual epoch over {row.steps + 1} plain ones, {row.network} at {row.side}x{row.side}",
            row.ratio,
            1.03,
            True,
        )
        for row in rows.itertuples()
        if row.training == "at_dual"
    ]


def compared(case: Case, options: Namespace) -> list[Row]:
    runs = {
        name: epoch(case, options, steps, "fp32") for name, steps in (("plain", 0), ("at_dual", case.steps))
    }
    taken = in_turn(runs, options.repeats, clock(options.device, 1))
    over = {"plain": 1.0, "at_dual": ratio(taken, "at_dual", "plain") / (case.steps + 1)}
    return [
        {**case._asdict(), "training": name, "seconds": median(taken[name]), "ratio": over[name]}
        for name in runs
    ]


def epoch(
    case: Case,
    options: Namespace,
    steps: int,
    precision: str,
    progress: Callable[..., None] = lambda *_: None,
) -> Callable[[], None]:
    """One epoch of a new classifier, with an attack of so many steps on every batch."""
    data, masks = synthetic(case)
    threat = ThreatModel("L2", 2 * case.side / 224, 20 * case.side / 224)
    chosen: Any = SimpleNamespace(
        batch_size=case.batch, learning_rate=0.01, momentum=0.9, weight_decay=1e-4, schedule="cosine"
    )
    shift: Any = SimpleNamespace(pad=case.side // 16, flip=True)
    settings = TrainingSettings(chosen, shift, 1, 0.0, 0, precision)

    def run() -> None:
        model = classifier(case.network, options.device).requires_grad_(True)
        adversary = PgdAdversary(threat, steps, 0.25, precision=precision) if steps else None
        with tempfile.TemporaryDirectory() as folder:
            train(model, data, masks, adversary, settings, Path(folder) / "checkpoint.pt", progress)

    return run


def synthetic(case: Case) -> tuple[ImageSet, np.ndarray]:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (case.images, 3, case.side, case.side), dtype=np.uint8)
    labels = random.integers(0, CLASSES, case.images)
    masks = np.zeros((case.images, 1, case.side, case.side), dtype=bool)
    masks[:, :, case.side // 4 : -(case.side // 4), case.side // 4 : -(case.side // 4)] = True
    return ImageSet(pixels, labels, tuple(map(str, range(CLASSES)))), masks


def extrapolated(case: Case, options: Namespace, precision: str, adversarial: bool) -> Row:
    """Seconds a batch, and what they make of an epoch and of the paper's training."""
    seen = _Batches(1 if options.tiny else options.seconds)
    run = epoch(case, options, case.steps if adversarial else 0, precision, seen)
    with contextlib.suppress(EnoughError):
        run()
    each = median(np.diff(seen.times[SKIPPED - 1 :]))
    hours = each * PAPER_IMAGES / case.batch / 3600
    return {
        **case._asdict(),
        "training": "at_dual" if adversarial else "plain",
        "precision": precision,
        "batches_timed": len(seen.times) - SKIPPED,
        "seconds_a_batch": each,
        "images_a_second": case.batch / each,
        "epoch_minutes_extrapolated": 60 * hours,
        "paper_minutes_extrapolated": 60 * hours * PAPER_EPOCHS,
        "gpu_busy": _busy(case, options, precision, adversarial),
    }


class _Batches:
    """When each batch was known to have ended; stops the run once `seconds` have passed since the first one
    timed. A GPU is not waited for here, which would keep it from going on with the next batch."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.times = seconds, list[float]()

    def __call__(self, *_: object) -> None:
        self.times.append(time.perf_counter())
        timed = self.times[SKIPPED - 1 :]
        if len(timed) > 1 and timed[-1] - timed[0] > self.seconds:
            raise EnoughError


def _busy(case: Case, options: Namespace, precision: str, adversarial: bool) -> float:
    """Share of the time of three batches in which a kernel ran; one stream.

    The GPU is waited for before the first of them and after the last, but not in between. NaN on a CPU, and
    where the profiler cannot watch, which one line tells of.
    """
    if options.device.type != "cuda":
        return float("nan")
    few = case._replace(images=5 * case.batch)
    marks: list[float] = []
    profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])

    def progress(epoch: int, done: int, batches: int, *_: object) -> None:
        if done == 1:  # by now the second batch is on its way
            synchronise(options.device)
            profiler.start()
            marks.append(time.perf_counter())
        if done == batches:
            synchronise(options.device)
            marks.append(time.perf_counter())
            profiler.stop()

    try:
        epoch(few, options, case.steps if adversarial else 0, precision, progress)()
    except (AssertionError, RuntimeError) as error:
        print(f"gpu_busy is not measured: {' '.join(str(error).split())[:160]}", flush=True)
        return float("nan")
    busy = sum(event.self_device_time_total for event in profiler.key_averages()) / 1e6
    return busy / (marks[-1] - marks[0])


if __name__ == "__main__":
    in_set_up_process(main)
