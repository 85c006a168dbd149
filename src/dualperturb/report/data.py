"""The data that a report is made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dualperturb.errors import UserError
from dualperturb.figures.panel import Certificate

Budgets = Mapping[str, tuple[float, float]]  # norm -> eps_f, eps_b at the paper's scale


@dataclass(frozen=True)
class MaskSummary:
    """The evaluated images' foregrounds in numbers.

    `source` says where the masks come from, such as "data set"; `saliency` names the model whose log density
    gives the foreground scores. `foreground_fraction` and `foreground_score` are means over `n` clean images,
    in [0, 1]; `empty` and `full` count images without a foreground or without a background; `lacking` those
    for which the source had no mask, so that they got a fallback.
    """

    source: str
    saliency: str
    foreground_fraction: float
    foreground_score: float
    empty: int
    full: int
    n: int
    lacking: int = 0


@dataclass(frozen=True)
class ReportFigure:
    """One figure of one data set: number in the paper ("Fig. 4"), name, files, caption and table.

    `stem` names its files and its place on the page; `rows` are what a reader may save as CSV; `in_comment`:
    whether the Markdown has its caption, too; `drawn`: else there are no files, and the caption says why.
    """

    number: str
    name: str
    dataset: str
    stem: str
    png: Path
    svg: Path
    caption: str
    table: pd.DataFrame
    rows: pd.DataFrame
    in_comment: bool
    drawn: bool = True


@dataclass(frozen=True)
class DatasetReport:
    """One data set's part. Raises `UserError` where a table is of another data set or of several.

    `results`, `claims`: its rows of reports/results.csv, means over `trainings` trainings, and of
    reports/claims.csv; `health`: one row per check, classifier and norm; `gallery`: the arrays of
    `evaluation.gallery.gallery_arrays`; `budgets`: those of the summary.
    """

    dataset: str
    results: pd.DataFrame
    claims: pd.DataFrame
    trainings: int
    budgets: Budgets
    masks: MaskSummary
    certificate: Certificate
    figures: tuple[ReportFigure, ...]
    health: pd.DataFrame
    gallery: Mapping[str, Any]

    def __post_init__(self) -> None:
        self._check("results", self.results["dataset"])
        self._check("claims", self.claims["dataset"])
        self._check("health", self.health["dataset"])
        if self.figures:
            self._check("figures", (figure.dataset for figure in self.figures))

    def _check(self, part: str, found: Iterable[str]) -> None:
        known = {str(name) for name in found}
        if known != {self.dataset}:
            raise UserError(
                f"report: {part} cover the data sets {', '.join(sorted(known)) or 'none'}, "
                f"expected {self.dataset}"
            )


@dataclass(frozen=True)
class ReportData:
    """All that the page shows: one section per data set, in the order of params.yaml.

    `setting` is params.yaml as nested mappings; `versions` maps software to version; `times` has the columns
    dataset, stage, seconds.
    """

    title: str
    setting: Mapping[str, Any]
    versions: Mapping[str, str]
    sections: tuple[DatasetReport, ...]
    times: pd.DataFrame
