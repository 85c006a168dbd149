"""Rendering: ReportData -> the HTML page and the Markdown comment."""

from __future__ import annotations

from functools import cache
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from dualperturb.evaluation.claims.lines import PAPER
from dualperturb.figures.names import NORM_NAMES
from dualperturb.figures.sweeps import norms
from dualperturb.figures.texts import bound_note
from dualperturb.report import formatting
from dualperturb.report.claims import claims_text, tally
from dualperturb.report.data import DatasetReport, ReportData
from dualperturb.report.gallery import gallery_data
from dualperturb.report.health import health_parts
from dualperturb.report.measures import (
    carlini_wagner_table,
    distances_table,
    jsma_table,
    judges_table,
    strong_table,
)
from dualperturb.report.settings import mask_text, setting_tables, stand_ins
from dualperturb.report.summary import headline, spent_text, summary_table


def render_html(report: ReportData) -> str:
    """The page: one file, pictures inlined, nothing loaded from elsewhere."""
    content = _content(report)
    for section, own in zip(report.sections, content["sections"], strict=True):
        own["gallery"] = gallery_data(section.gallery)
    return _environment(html=True).get_template("report.html.j2").render(content)


def render_markdown(report: ReportData) -> str:
    """The tables that matter and the figures' captions, short enough for a pull request's comment."""
    return _environment(html=False).get_template("report.md.j2").render(_content(report))


@cache
def _environment(html: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("dualperturb.report"),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        html_cell=formatting.html_cell,
        md_cell=formatting.md_cell,
        duration=formatting.duration,
        figure_uri=formatting.figure_uri,
        csv_uri=formatting.csv_uri,
        inches=formatting.inches,
    )
    return environment


def _content(report: ReportData) -> dict[str, Any]:
    """The values with which both templates are filled."""
    return {
        "title": report.title,
        "sections": [_section(section) for section in report.sections],
        "setting": setting_tables(report.setting),
        "versions": report.versions,
        "times": report.times,
        "total_seconds": float(report.times["seconds"].sum()),
    }


def _section(section: DatasetReport) -> dict[str, Any]:
    results, budgets = section.results, section.budgets
    opening = next((figure for figure in section.figures if figure.stem == "accuracy" and figure.drawn), None)
    return {
        "dataset": section.dataset,
        "trainings": section.trainings,
        "tally": tally(section.claims[section.claims["setting"] == PAPER]),
        "bound": bound_note(results),
        "claims": {setting: _claims(rows) for setting, rows in section.claims.groupby("setting", sort=False)},
        "summaries": {
            NORM_NAMES[norm]: {
                "table": summary_table(results, norm, *budgets[norm]),
                "spent": spent_text(results, norm, *budgets[norm]),
                "headline": headline(results, norm, *budgets[norm]),
            }
            for norm in norms(results)
        },
        "masks": mask_text(section.masks),
        "stand_ins": stand_ins(section.dataset, section.masks),
        "opening": opening,
        "figures": [figure for figure in section.figures if figure is not opening],
        "strong": {
            NORM_NAMES[norm]: strong_table(results, norm, budgets[norm][0]) for norm in norms(results)
        },
        "further": {"JSMA": jsma_table(results), "C&W": carlini_wagner_table(results)},
        "unsuspicious": {
            NORM_NAMES[norm]: (judges_table(results, norm), distances_table(results, norm))
            for norm in norms(results)
        },
        "health": list(health_parts(section.health)),
    }


def _claims(rows: pd.DataFrame) -> dict[str, Any]:
    """The table of one setting, whole and by claim."""
    table = claims_text(rows)
    groups = table.groupby(["claim", "holds if"], sort=False)
    return {
        "table": table,
        "groups": [(*named, own.drop(columns=["claim", "holds if"])) for named, own in groups],
    }
