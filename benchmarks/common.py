"""What the scripts share: settings of the process, timing in turn, networks, tables and targets.

Needs of the package's dependencies torch, torchvision, numpy, pandas and safetensors alone, and so does every
script of `gpu.sh`: on a machine with a GPU a checkout is enough.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from dualperturb.core.classifiers.storage import ClassifierSpec, Normalise, build_classifier
from dualperturb.files import replacing

CLASSES = 10
RESULTS = Path("benchmarks/results")
# As the stages set them, here for every competitor: glibc keeps what is freed, idle threads do not spin.
ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(1 << 26),
    "OMP_WAIT_POLICY": "passive",
}

Row = dict[str, object]
Clock = Callable[[Callable[[], object]], float]


class Target(NamedTuple):
    """number: as benchmarks/README.md lists them; at_most: the limit is an upper one."""

    number: int
    what: str
    found: float
    limit: float
    at_most: bool

    @property
    def reached(self) -> bool:
        return self.found <= self.limit if self.at_most else self.found >= self.limit


class Table(NamedTuple):
    """name: of the file; rows: one dictionary a line, all with the same keys in the same order.

    Rows that are made as they are asked for are on disk as soon as they are made, whatever ends the script.
    """

    name: str
    rows: Iterable[Row]


def parser(documentation: str | None) -> argparse.ArgumentParser:
    """The options of every script."""
    made = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawTextHelpFormatter, allow_abbrev=False
    )
    made.add_argument("--tiny", action="store_true", help="sizes that show that it runs, and nothing else")
    made.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    made.add_argument("--repeats", type=int, default=5, help="timed runs of each, medians count (default: 5)")
    made.add_argument("--out", type=Path, help="folder for the tables as CSV; default: none is written")
    return made


def parsed(made: argparse.ArgumentParser, given: list[str] | None) -> argparse.Namespace:
    """The options; tiny runs are timed once."""
    options = made.parse_args(given)
    options.device = torch.device(options.device)
    torch.backends.cudnn.allow_tf32 = False  # as the stages, see `stages.common.device`
    if options.tiny:
        options.repeats = 1
    return options


def in_set_up_process(main: Callable[[], None]) -> None:
    """Run `main` in a process that has `ENVIRONMENT` from its start."""
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        sys.stdout.flush()
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **ENVIRONMENT})
    main()


def clock(device: torch.device, threads: int) -> Clock:
    """One thread: processor time, which other processes disturb least; two, and on a GPU: wall time."""
    torch.set_num_threads(threads)
    now = time.process_time if device.type == "cpu" and threads == 1 else time.perf_counter

    def seconds(run: Callable[[], object]) -> float:
        synchronise(device)
        begun = now()
        run()
        synchronise(device)
        return now() - begun

    return seconds


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def in_turn(runs: Mapping[str, Callable[[], object]], repeats: int, seconds: Clock) -> dict[str, list[float]]:
    """Seconds of each run, one after the other, `repeats` times, after a first round that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name in list(runs) if turn % 2 else reversed(list(runs)):
            value = seconds(runs[name])
            if turn:
                taken[name].append(value)
    return taken


def ratio(taken: Mapping[str, list[float]], name: str, base: str) -> float:
    """Median over the rounds of the time of `name` over that of `base`."""
    return statistics.median(a / b for a, b in zip(taken[name], taken[base], strict=True))


class ThreeLayers(nn.Sequential):
    """Three convolutions and a linear layer: where everything but the classifier weighs most."""

    def __init__(self) -> None:
        layers: list[nn.Module] = [Normalise()]
        for inputs, outputs, stride in ((3, 32, 1), (32, 64, 2), (64, 128, 2)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, CLASSES))


class Counter(nn.Module):
    """The classifier, and how many images it was asked for a gradient of."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.count = model, 0

    def forward(self, images: Tensor) -> Tensor:
        self.count += len(images) if images.requires_grad else 0
        logits: Tensor = self.model(images)
        return logits


class Timed(nn.Module):
    """The classifier, and the seconds that passes forward and backward through it took; on a CPU."""

    def __init__(self, model: nn.Module, now: Callable[[], float]) -> None:
        super().__init__()
        self.model, self.now, self.seconds = model, now, 0.0
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        begun = self.now()
        logits: Tensor = self.model(images)
        if logits.requires_grad:  # a pass that only classifies is none of the floor's
            self.seconds += self.now() - begun
        return logits

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Time the backward passes, too, however they are asked for."""
        run_backward = torch.autograd._engine_run_backward  # what grad() and backward() both call

        def timed(*args: object, **kwargs: object) -> object:
            begun = self.now()
            try:
                return run_backward(*args, **kwargs)
            finally:
                self.seconds += self.now() - begun

        torch.autograd._engine_run_backward = timed
        try:
            yield
        finally:
            torch.autograd._engine_run_backward = run_backward


def classifier(name: str, device: torch.device) -> nn.Module:
    """Random weights from a fixed seed, eval mode, frozen: every competitor attacks the same object."""
    if name == "three_layers":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model: nn.Module = ThreeLayers()
    else:
        model = build_classifier(ClassifierSpec(name, tuple(map(str, range(CLASSES)))))
    return model.to(device).eval().requires_grad_(False)


def batch(count: int, side: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Images in [0, 1], labels, and masks whose foreground is the middle quarter."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 3, side, side, generator=generator)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    foreground = torch.zeros(count, 1, side, side, dtype=torch.bool)
    foreground[:, :, side // 4 : side - side // 4, side // 4 : side - side // 4] = True
    return images.to(device), labels.to(device), foreground.to(device)


def climb(model: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor) -> Tensor:
    """The floor's one step: forward, and backward with respect to the input alone."""
    images = images.detach().requires_grad_(True)
    loss = torch.nn.functional.cross_entropy(model(images).float(), labels, reduction="sum")
    return torch.autograd.grad(loss, images)[0]


def show(tables: Iterable[Table], folder: Path | None) -> None:
    """Print tables in Markdown as their rows come, and have each row in FOLDER/NAME.csv from then on."""
    for table in tables:
        rows: list[Row] = []
        for row in table.rows:
            if not rows:
                print(f"| {' | '.join(row)} |\n|{' --- |' * len(row)}")
            rows.append(row)
            print(f"| {' | '.join(map(_written, row.values()))} |", flush=True)
            if folder is not None:
                with replacing(folder / f"{table.name}.csv") as temporary:
                    pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.4g")
        print(flush=True)


def _written(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
