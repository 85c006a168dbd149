"""What every stage script shares: the pipeline's paths, parameters, device, run times, one-line errors."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Two OpenMP threads that spin while they wait starve each other beside another busy process. Read by the
# OpenMP runtime when torch is first imported, hence set up here.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import typer

from dualperturb.errors import UserError
from dualperturb.files import write_json
from dualperturb.params import AXES, DEFENCES, Params, load_params

if TYPE_CHECKING:
    import torch

    from dualperturb.mask_params import SaliencyParams
    from dualperturb.saliency import SaliencyModel

SWEPT = ("clean", "at_pgd", "at_dual")  # the defences of Fig. 3 to 5; smoothing has a stage of its own
PARAMS = Path("params.yaml")
RAW = Path("data/raw")
PREPARED = Path("data/prepared")
MASKS = Path("data/masks")
MODELS = Path("models")
CHECKPOINTS = Path("checkpoints")
REPORTS = Path("reports")
MASK_SUMMARIES = REPORTS / "masks"
EXAMPLES = REPORTS / "examples"  # the arrays of Figures 1 and 2
CELLS = REPORTS / "cells"  # one table a defence and panel, before they are put together
MEASURES = REPORTS / "measures"  # one table a measure besides the panels
GRADIENTS = REPORTS / "gradients"  # the arrays of Figure 6
HEALTH = REPORTS / "health"
GALLERY = REPORTS / "gallery"  # the arrays of the gallery
TRAINING = REPORTS / "training"  # one history a defence
TIMES = REPORTS / "times"  # seconds of each stage, as measured when it last ran
FIGURES = REPORTS / "figures"
CURVES = REPORTS / "curves"  # the panels as `dvc plots` reads them
RESULTS = REPORTS / "results.csv"
METRICS = REPORTS / "metrics.json"


def params(
    dataset: str | None = None, defence: str | None = None, axis: str | None = None, norm: str | None = None
) -> Params:
    """The checked parameters of this run. Raises UserError for them and for a name that they do not know."""
    settings = load_params(PARAMS)
    given = (
        ("norm", norm, settings.norms),
        ("data set", dataset, settings.datasets),
        ("defence", defence, DEFENCES),
        ("axis", axis, AXES),
    )
    for kind, name, known in given:
        if name is not None and name not in known:
            raise UserError(f"{kind}: found {name!r}; accepted: {', '.join(known)}")
    return settings


def classifier_name(defence: str, norm: str | None) -> str:
    """How files name a classifier: its defence, and the norm that it was trained with, if any."""
    return defence if norm is None else f"{defence}_{norm}"


def classifier_folder(dataset: str, defence: str, norm: str | None) -> Path:
    """models/DATASET/DEFENCE, or a folder a norm in it."""
    return MODELS / dataset / defence / (norm or "")


def run(main: Callable[..., None]) -> None:
    """Run a stage's `main` with the command line's arguments; a user's mistake ends it with one line."""

    @functools.wraps(main)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            main(*args, **kwargs)
        except (UserError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            raise SystemExit(1) from None

    _keep_freed_memory()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(guarded)
    app()


@contextmanager
def timed(dataset: str, stage: str) -> Iterator[None]:
    """Write the seconds that the body took to reports/times/DATASET/STAGE.json."""
    begun = time.perf_counter()
    yield
    seconds = round(time.perf_counter() - begun, 2)
    write_json(TIMES / dataset / f"{stage}.json", {"dataset": dataset, "stage": stage, "seconds": seconds})


def device() -> torch.device:
    """The first GPU if there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def saliency(chosen: SaliencyParams) -> SaliencyModel:
    """The saliency model that the parameters name, on the device."""
    from dualperturb.saliency import saliency_model

    model = saliency_model(chosen.name, **chosen.options)
    return model.to(device()) if hasattr(model, "to") else model


def _keep_freed_memory() -> None:
    """Let glibc keep freed memory: its defaults cost small networks thousands of page faults a step."""
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # the names' values in malloc.h
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for option, size in ((mmap_threshold, 1 << 30), (trim_threshold, 1 << 30), (top_pad, 1 << 26)):
        mallopt(option, size)
