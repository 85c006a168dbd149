"""What a report is made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dualperturb.errors import UserError


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
    """One figure of one data set: number in the paper ("Fig. 4"), name, files, caption and table."""

    number: str
    name: str
    dataset: str
    png: Path
    svg: Path
    caption: str
    table: pd.DataFrame


@dataclass(frozen=True)
class ReportData:
    """All that the page shows. `datasets` comes from params.yaml, and every table must cover it exactly.

    `eps_f` and `eps_b` (paper's scale) are the budgets of the summary table; `setting` is params.yaml as
    nested mappings; `versions` maps software to version; `times` has the columns dataset, stage, seconds.
    Raises `UserError` where a part lacks a data set or knows one too many.
    """

    title: str
    datasets: tuple[str, ...]
    eps_f: float
    eps_b: float
    setting: Mapping[str, Any]
    versions: Mapping[str, str]
    results: pd.DataFrame
    masks: Mapping[str, MaskSummary]
    figures: tuple[ReportFigure, ...]
    times: pd.DataFrame

    def __post_init__(self) -> None:
        self._check("results", self.results["dataset"])
        self._check("masks", self.masks)
        self._check("figures", (figure.dataset for figure in self.figures))

    def _check(self, part: str, found: Iterable[str]) -> None:
        known = {str(name) for name in found}
        if known != set(self.datasets):
            raise UserError(
                f"report: {part} cover the data sets {', '.join(sorted(known)) or 'none'}, "
                f"expected {', '.join(sorted(self.datasets))}"
            )

    def results_of(self, dataset: str) -> pd.DataFrame:
        """The rows of one data set."""
        return self.results[self.results["dataset"] == dataset]
