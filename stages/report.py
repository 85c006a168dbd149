"""The page and the comment: reports/index.html and reports/report.md."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

import dualperturb
from dualperturb.errors import REMAKE, UserError
from dualperturb.evaluation.claims.lines import COLUMNS as CLAIM_COLUMNS
from dualperturb.evaluation.tables import over_trainings
from dualperturb.figures import read_arrays, read_examples
from dualperturb.files import read_csv, replacing
from dualperturb.params import SMOOTHED, Params
from dualperturb.params.evaluation import Smoothing
from dualperturb.params.training import Train
from dualperturb.report import (
    HEALTH_COLUMNS,
    Certificate,
    DatasetReport,
    MaskSummary,
    ReportData,
    paper_figures,
    render_html,
    render_markdown,
)
from stages.common import (
    CLAIMS,
    EXAMPLES,
    FIGURES,
    GALLERY,
    HEALTH,
    MASK_SUMMARIES,
    REPORTS,
    params,
    run,
    time_file,
    timed_stages,
)
from stages.results import read_results

T = TypeVar("T")
PACKAGES = ("torch", "torchvision", "numpy", "pandas", "matplotlib")
SETTINGS = ("datasets", "seeds", "norms", "eps_f", "eps_b", "salience_weight", "figures")


def main() -> None:
    settings = params()
    results, claims = read_results(settings), read_csv(CLAIMS, CLAIM_COLUMNS)
    data = ReportData(
        title="dualperturb: dual-perturbation attacks and defences",
        setting=setting(settings),
        versions=versions(),
        sections=tuple(section(settings, results, claims, dataset) for dataset in settings.datasets),
        times=times(settings),
    )
    for name, text in (("index.html", render_html(data)), ("report.md", render_markdown(data))):
        with replacing(REPORTS / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    print(f"report: {REPORTS / 'index.html'}")


def versions() -> dict[str, str]:
    own = {"dualperturb": dualperturb.__version__, "Python": platform.python_version()}
    return own | {name: version(name) for name in PACKAGES}


def setting(settings: Params) -> dict[str, object]:
    """The parameters that shaped this run: the sections of the data sets that it used."""
    shown = {**dict.fromkeys((*SETTINGS, *settings.datasets), True), "runtime": {"precision"}}
    everything = settings.model_dump(mode="json", include=shown)
    weights = everything["salience_weight"]
    everything["salience_weight"] = {name: weights[name] for name in settings.datasets}
    for budget in ("eps_f", "eps_b"):
        everything[budget] = {norm: everything[budget][norm] for norm in settings.norms}
    for name in settings.datasets:
        attacked = everything[name]["evaluate"]
        attacked["steps"] = {norm: attacked["steps"][norm] for norm in settings.norms}
    return everything


def section(settings: Params, results: pd.DataFrame, claims: pd.DataFrame, dataset: str) -> DatasetReport:
    chosen = settings.of(dataset)
    certified = certificate(chosen.evaluate.smoothing, chosen.train)
    own = over_trainings(results[results["dataset"] == dataset])
    return DatasetReport(
        dataset,
        own,
        claims[claims["dataset"] == dataset],
        len(settings.seeds.training),
        {norm: settings.budgets(norm) for norm in settings.norms},
        mask_summary(dataset),
        certified,
        tuple(
            paper_figures(
                own,
                read_examples(EXAMPLES / dataset),
                dataset,
                FIGURES / dataset,
                settings.figures,
                settings.plots.panels,
                certified,
                chosen.masks.source == "saliency",
            )
        ),
        pd.concat([read_csv(HEALTH / dataset / f"{norm}.csv", HEALTH_COLUMNS) for norm in settings.norms]),
        read_arrays(GALLERY / f"{dataset}.npz"),
    )


def certificate(chosen: Smoothing, trained: Train) -> Certificate:
    dual = trained.smoothing_dual
    sigmas = {defence: trained.smoothed(defence).least_sigma for defence in SMOOTHED}
    return Certificate(
        trained.smoothing.sigma,
        chosen.alpha,
        chosen.samples,
        chosen.prediction_samples,
        dual.sigma_f,
        dual.sigma_b,
        dual.mask,
        {defence: chosen.largest_radius(sigma) for defence, sigma in sigmas.items()},
        {
            defence: tuple(radius for radius in chosen.radii if radius not in chosen.certifiable(sigma))
            for defence, sigma in sigmas.items()
        },
    )


def mask_summary(dataset: str) -> MaskSummary:
    return _read(MASK_SUMMARIES / f"{dataset}.json", _summarised)


def _summarised(summary: Any) -> MaskSummary:
    test = summary["test"]
    return MaskSummary(
        source={
            "dataset": "data set",
            "saliency": "saliency model",
            "files": "imported files",
            "segmentation": "segmentation network",
        }[summary["source"]],
        saliency=summary["model"],
        foreground_fraction=test["foreground_fraction_mean"],
        foreground_score=test["clean_foreground_score_mean"],
        empty=test["empty"],
        full=test["full"],
        n=test["count"],
        lacking=test.get("not_found", 0) + test.get("missing", 0),
    )


def times(settings: Params) -> pd.DataFrame:
    """Seconds of every stage that measures itself; a shipped page tells the times of the run that made it.

    Files of stages and norms that no longer exist may lie there, too, and are passed over.
    """
    stages = list(timed_stages(settings))
    named = [sorted(time_file(name, *stage) for stage in stages) for name in settings.datasets]
    files = [path for paths in named for path in paths if path.exists()]
    columns = ["dataset", "stage", "seconds"]
    rows = [_read(path, lambda taken: [taken[column] for column in columns]) for path in files]
    return pd.DataFrame(rows, columns=columns)


def _read(path: Path, meaning: Callable[[Any], T]) -> T:
    """What `meaning` reads from a JSON file. Raises UserError if the file is absent, damaged or another."""
    try:
        return meaning(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: cannot be read ({error!r}); {REMAKE}") from error


if __name__ == "__main__":
    run(main)
