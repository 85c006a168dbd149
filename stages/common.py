"""What every stage script shares: paths, parameters, its start and end, run times, the device."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

# OpenMP threads that spin while they wait starve each other when another process is busy, too. The OpenMP
# runtime reads this when torch is first imported, hence it is set here.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import typer

from dualperturb import launch
from dualperturb.errors import UserError
from dualperturb.files import write_json
from dualperturb.params import SMOOTHED, Params, load_params
from stages.processes import on_ranks, reported

if TYPE_CHECKING:
    import torch

    from dualperturb.params.masks import SaliencyParams
    from dualperturb.saliency import SaliencyModel

# What `robustness` sweeps over -> the panels that come of it.
SWEEPS = {"eps": ("eps",), "dual": ("eps_f", "eps_b"), "salience_weight": ("salience_weight",)}
PARAMS = Path("params.yaml")
RAW = Path("data/raw")
PREPARED = Path("data/prepared")
MASKS = Path("data/masks")
MODELS = Path("models")
CHECKPOINTS = Path("checkpoints")
REPORTS = Path("reports")
MASK_SUMMARIES = REPORTS / "masks"
EXAMPLES = REPORTS / "examples"  # the arrays of Fig. 1 and 2
SWEEP_TABLES = REPORTS / "cells"  # one table per sweep, defence and norm, before they are joined
MEASURES = REPORTS / "measures"  # one table per measure other than the sweeps
GRADIENTS = REPORTS / "gradients"  # the arrays of Figure 6
HEALTH = REPORTS / "health"
GALLERY = REPORTS / "gallery"  # the arrays of the gallery
TRAINING = REPORTS / "training"  # one history per classifier
TIMES = REPORTS / "times"  # seconds of each stage, as measured when it last ran
FIGURES = REPORTS / "figures"
CURVES = REPORTS / "curves"  # the panels as `dvc plots` reads them
RESULTS = REPORTS / "results.csv"
CLAIMS = REPORTS / "claims.csv"  # the paper's claims, judged
METRICS = REPORTS / "metrics.json"


def params(
    dataset: str | None = None, defence: str | None = None, sweep: str | None = None, norm: str | None = None
) -> Params:
    """The checked parameters of this run. Raises UserError if they are wrong or do not know a given name.

    The salience weight is swept in Fig. 3's norm alone, which may be another than those of `norms`.
    """
    settings = _loaded()
    swept_in = (settings.figures.fig3.norm,) if sweep == "salience_weight" else settings.norms
    given = (
        ("norm", norm, swept_in),
        ("data set", dataset, settings.datasets),
        ("defence", defence, settings.defences),
        ("sweep", sweep, tuple(SWEEPS)),
    )
    for kind, name, known in given:
        if name is not None and name not in known:
            raise UserError(f"{kind}: found {name!r}; accepted: {', '.join(known)}")
    return settings


def classifier_name(defence: str, norm: str | None) -> str:
    """How files name a classifier: its defence, and the norm that it was trained with, if any."""
    return defence if norm is None else f"{defence}_{norm}"


def classifier_folder(dataset: str, defence: str, norm: str | None, training: int) -> Path:
    """models/DATASET/DEFENCE/NORM/SEED; without NORM for a defence that knows none.

    Those for smoothing are in models/smoothed/DATASET: stages of several classifiers depend on models/DATASET
    as a whole.
    """
    return _of_defence(MODELS, dataset, defence) / (norm or "") / str(training)


def history_path(dataset: str, defence: str, norm: str | None, training: int) -> Path:
    """reports/training, with folders as in `classifier_folder` and SEED.csv."""
    return _of_defence(TRAINING, dataset, defence) / (norm or "") / f"{training}.csv"


def _of_defence(root: Path, dataset: str, defence: str) -> Path:
    return root.joinpath(*(["smoothed"] if defence in SMOOTHED else []), dataset, defence)


def run(main: Callable[..., None], ranked: bool = False) -> None:
    """Run a stage's `main` with the command line's arguments; a user's mistake ends it with one line.

    ranked: `main` shares its work among ranks, and rank 0 alone writes and prints. Then it is run by as many
    processes as params.yaml says, unless this process is a rank already.
    """

    @functools.wraps(main)
    def guarded(*args: Any, **kwargs: Any) -> None:
        body = functools.partial(main, *args, **kwargs)
        try:
            on_ranks(body, _loaded().runtime) if ranked else body()
        except (UserError, OSError) as error:
            raise SystemExit(reported(error)) from None

    launch.speak_utf8()
    launch.keep_freed_memory()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(guarded)
    app()


def _loaded() -> Params:
    """The parameters, read once: to read and check them takes a tenth of a stage's start."""
    return _read(PARAMS.absolute(), PARAMS.stat().st_mtime_ns if PARAMS.exists() else 0)


@functools.lru_cache(maxsize=1)
def _read(path: Path, changed: int) -> Params:
    return load_params(PARAMS)


@contextmanager
def timed(dataset: str, stage: str, norm: str | None = None) -> Iterator[None]:
    """Write the seconds that the body took to reports/times/DATASET/STAGE.json, on rank 0.

    The file is named as in `timed_stages`, by which the report finds it.
    """
    begun = time.perf_counter()
    yield
    seconds = round(time.perf_counter() - begun, 2)
    if launch.rank() == 0:
        name = stage if norm is None else f"{stage}_{norm}"
        write_json(time_file(dataset, stage, norm), {"dataset": dataset, "stage": name, "seconds": seconds})


def time_file(dataset: str, stage: str, norm: str | None = None) -> Path:
    """Where `timed` writes."""
    return TIMES / dataset / (f"{stage}.json" if norm is None else f"{stage}/{norm}.json")


def timed_stages(settings: Params) -> Iterator[tuple[str, str | None]]:
    """The runs that are `timed` for each data set, by these parameters: stage, and norm where it has one."""
    for stage in ("prepare", "masks", "jsma", "smoothing", "gradients", "gallery", "examples"):
        yield stage, None
    for defence in settings.defences:
        yield from ((f"train_{defence}", norm) for norm in settings.trained(defence))
    yield from ((f"salience_weight_{defence}", settings.figures.fig3.norm) for defence in settings.swept)
    for norm in settings.norms:
        yield from ((stage, norm) for stage in ("transfer", "unsuspicious", "health"))
        yield from ((f"{stage}_{d}", norm) for stage in ("eps", "dual", "strong") for d in settings.swept)


def device() -> torch.device:
    """This rank's GPU, for a process on its own the first; the CPU where there is none."""
    import torch

    # fp32 means float32, but by default cuDNN rounds convolutions' factors to TF32. Speed comes from bf16.
    torch.backends.cudnn.allow_tf32 = False
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def saliency(chosen: SaliencyParams) -> SaliencyModel:
    """The saliency model that the parameters name, on the device."""
    from dualperturb.saliency import saliency_model

    model = saliency_model(chosen.name, **chosen.options)
    return model.to(device()) if hasattr(model, "to") else model
