"""The paper's figures of one data set with captions and the tables to unfold beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dualperturb.core.budgets import NORMS
from dualperturb.figures import figure_names
from dualperturb.figures.names import NORM_NAMES
from dualperturb.figures.salience import salience_sweeps
from dualperturb.figures.smoothing import certificates, smoothing_attacks
from dualperturb.figures.sweeps import norms
from dualperturb.figures.transfer import transfer_table
from dualperturb.report.captions import accuracy_caption, across_caption, salience_caption
from dualperturb.report.data import Certificate, ReportFigure
from dualperturb.report.further import (
    gradient_caption,
    gradient_table,
    smoothing_caption,
    smoothing_table,
    transfer_caption,
    transfer_shown,
)
from dualperturb.report.pictures import (
    dual_examples_caption,
    dual_examples_table,
    noise_examples_caption,
    noise_examples_table,
)
from dualperturb.report.sweep_tables import (
    accuracy_rows,
    accuracy_table,
    across_table,
    salience_table,
)


@dataclass(frozen=True)
class _Part:
    """rows None: the table itself is what a reader may save."""

    number: str
    name: str
    caption: str
    table: pd.DataFrame
    rows: pd.DataFrame | None = None


def paper_figures(
    results: pd.DataFrame,
    examples: Mapping[str, Any],
    dataset: str,
    folder: Path,
    panels: Sequence[str],
    certificate: Certificate,
) -> list[ReportFigure]:
    """The figures of `panels` with captions and tables; their files: `folder`/<dataset>_<name>.png and .svg.

    The names are those of `dualperturb.figures.figure_names`; `results` may hold other data sets, too.
    """
    rows = results[results["dataset"] == dataset]
    figures = []
    for stem in figure_names(rows, panels):
        part = _part(stem, rows, examples, certificate)
        png, svg = (folder / f"{dataset}_{stem}.{kind}" for kind in ("png", "svg"))
        saved = (part.table if part.rows is None else part.rows).dropna(axis="columns", how="all")
        figures.append(
            ReportFigure(part.number, part.name, dataset, stem, png, svg, part.caption, part.table, saved)
        )
    return figures


def _part(stem: str, results: pd.DataFrame, examples: Mapping[str, Any], certificate: Certificate) -> _Part:
    kind, _, norm = stem.partition("_")
    if kind == "accuracy":
        return _accuracy(results, norm)
    if kind == "transfer":
        return _transfer(results, norm)
    makers: dict[str, Callable[[], _Part]] = {
        "dual_examples": lambda: _Part(
            "Fig. 1",
            "dual examples at different salience weights",
            dual_examples_caption(examples),
            dual_examples_table(examples),
        ),
        "noise_examples": lambda: _Part(
            "Fig. 2",
            "foreground against background noise",
            noise_examples_caption(examples),
            noise_examples_table(examples),
        ),
        "salience": lambda: _salience(results),
        "across": lambda: _across(results),
        "gradients": lambda: _Part(
            "Fig. 6",
            "loss gradients",
            gradient_caption(results),
            gradient_table(results),
            results[results["axis"] == "gradient"],
        ),
        "smoothing": lambda: _smoothing(results, certificate),
    }
    return makers[stem]()


def _salience(results: pd.DataFrame) -> _Part:
    return _Part(
        "Fig. 3",
        "foreground score and accuracy over the salience weight",
        salience_caption(results),
        salience_table(results),
        pd.concat(salience_sweeps(results).values()),
    )


def _accuracy(results: pd.DataFrame, norm: str) -> _Part:
    return _Part(
        NORMS[norm].figure,
        f"adversarial accuracy over the budgets, {NORM_NAMES[norm]}",
        accuracy_caption(results, norm),
        accuracy_table(results, norm),
        accuracy_rows(results, norm),
    )


def _across(results: pd.DataFrame) -> _Part:
    return _Part(
        "Fig. 4 and 5, across norms",
        "classifiers under attacks of the norm they were not trained with",
        across_caption(results),
        across_table(results),
        pd.concat([accuracy_rows(results, norm, alike=False) for norm in norms(results)]),
    )


def _transfer(results: pd.DataFrame, norm: str) -> _Part:
    return _Part(
        "Appendix D",
        f"transfer of {NORM_NAMES[norm]} examples",
        transfer_caption(results, norm),
        transfer_shown(results, norm),
        transfer_table(results, norm).drop(columns="target"),
    )


def _smoothing(results: pd.DataFrame, certificate: Certificate) -> _Part:
    return _Part(
        "Appendix J",
        "randomized smoothing",
        smoothing_caption(results, certificate),
        smoothing_table(results),
        pd.concat([certificates(results), smoothing_attacks(results)]),
    )
