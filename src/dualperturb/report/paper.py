"""The paper's figures of one data set with captions and the tables to unfold beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dualperturb.figures import Certificate, Panel, ToldFrom, chosen_panels
from dualperturb.params import Figures
from dualperturb.report.data import ReportFigure


def paper_figures(
    results: pd.DataFrame,
    examples: Mapping[str, Mapping[str, Any]],
    dataset: str,
    folder: Path,
    chosen: Figures,
    panels: Sequence[str],
    certificate: Certificate,
    self_scored: bool,
) -> list[ReportFigure]:
    """The figures of `panels` with captions and tables; their files: `folder`/<dataset>_<stem>.png and .svg.

    The stems are those of `dualperturb.figures.draw`, `chosen` the figures' norms; `results` may hold other
    data sets, too. self_scored: as in `ToldFrom`.
    """
    given = ToldFrom(results[results["dataset"] == dataset], examples, certificate, self_scored)
    return [_told(panel, given, dataset, folder) for panel in chosen_panels(given.results, chosen, panels)]


def _told(panel: Panel, given: ToldFrom, dataset: str, folder: Path) -> ReportFigure:
    png, svg = (folder / f"{dataset}_{panel.stem}.{kind}" for kind in ("png", "svg"))
    table = panel.table(given) if panel.draw else pd.DataFrame()
    saved = (table if panel.rows is None else panel.rows(given)).dropna(axis="columns", how="all")
    own = panel.number, panel.name, dataset, panel.stem
    drawn = panel.draw is not None
    return ReportFigure(*own, png, svg, panel.caption(given), table, saved, panel.in_comment, drawn)
