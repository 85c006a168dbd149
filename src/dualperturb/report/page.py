"""Rendering: ReportData -> the HTML page and the Markdown comment."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from dualperturb.errors import UserError
from dualperturb.report.data import MaskSummary, ReportData, ReportFigure
from dualperturb.report.summary import spent_text, summary_table

# Above this an SVG holds mostly pixels, which PNG packs better.
_LARGEST_SVG = 200_000

_SVG_WIDTH = re.compile(r'<svg[^>]*? width="([0-9.]+)pt"')

_INTERVAL = re.compile(r"(?P<value>.+?) (?P<interval>\[[^\]]*\])")


def render_html(report: ReportData) -> str:
    """The page: one file, pictures inlined, nothing loaded from elsewhere."""
    return _environment(html=True).get_template("report.html.j2").render(_content(report))


def render_markdown(report: ReportData) -> str:
    """The summary tables and the figures' captions, short enough for a pull request's comment."""
    return _environment(html=False).get_template("report.md.j2").render(_content(report))


@cache
def _environment(html: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("dualperturb"),
        autoescape=html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(cell=_cell, html_cell=_html_cell, md_cell=_md_cell, duration=_duration)
    environment.filters.update(data_uri=_data_uri, inches=_inches)
    return environment


def _content(report: ReportData) -> dict[str, Any]:
    """What both templates are filled from."""
    sections = [
        {
            "dataset": dataset,
            "summary": summary_table(report.results, dataset, report.eps_f, report.eps_b),
            "spent": spent_text(report.results_of(dataset), report.eps_f, report.eps_b),
            "masks": _mask_text(report.masks[dataset]),
            "stand_ins": _stand_ins(dataset, report.masks[dataset]),
            "figures": [figure for figure in report.figures if figure.dataset == dataset],
        }
        for dataset in report.datasets
    ]
    return {
        "title": report.title,
        "sections": sections,
        "setting": _setting_tables(report.setting),
        "versions": report.versions,
        "times": report.times,
        "total_seconds": float(report.times["seconds"].sum()),
    }


def _mask_text(masks: MaskSummary) -> str:
    none = f", which had none for {masks.lacking} of {masks.n} images (these got the fallback)"
    return (
        f"Foregrounds from the {masks.source}{none if masks.lacking else ''}: "
        f"{100 * masks.foreground_fraction:.1f} % of the image in the mean, {masks.empty} empty and "
        f"{masks.full} full among {masks.n} images. Mean foreground score of the clean images: "
        f"{masks.foreground_score:.3f} (saliency model: {masks.saliency})."
    )


def _stand_ins(dataset: str, masks: MaskSummary) -> list[str]:
    """What stands here for something of the paper, in plain sentences."""
    notes = []
    if dataset == "shapes6":
        notes.append("shapes6 is synthetic: drawn by a program from a seed, no photographs.")
    if masks.saliency == "builtin":
        notes.append(
            "The built-in saliency model needs no weights; it stands in for DeepGaze and is not DeepGaze."
        )
    return notes


def _setting_tables(setting: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """A table a section of the parameters, nested keys joined by dots; what has no section comes first."""
    tables: dict[str, dict[str, str]] = {"for the whole run": {}}
    for key, value in setting.items():
        if isinstance(value, Mapping):
            tables[str(key)] = _flat(value)
        else:
            tables["for the whole run"][str(key)] = _cell(value)
    return {name: table for name, table in tables.items() if table}


def _flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in section.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = _cell(value)
    return flat


def _cell(value: Any) -> str:
    """A value as text: short floats, lists in a row, a dash for nothing."""
    if isinstance(value, (list, tuple)):
        return ", ".join(_cell(part) for part in value) or "–"
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _html_cell(value: Any) -> Markup:
    """A cell's text, escaped; a number and its interval apart, so that a narrow page breaks between them."""
    parts = _INTERVAL.fullmatch(_cell(value))
    if parts is None:
        return escape(_cell(value))
    return Markup('<span class="value">{}</span> <span class="interval">{}</span>').format(*parts.groups())


def _md_cell(value: Any) -> str:
    """A cell's text that cannot break out of a Markdown table or turn into HTML."""
    text = re.sub(r"([\\`*|])", r"\\\1", _cell(value))
    return re.sub(r"\s+", " ", text.replace("<", "&lt;"))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _data_uri(figure: ReportFigure) -> str:
    """The picture inlined: SVG, which stays sharp, or PNG where the SVG is large."""
    small = figure.svg.stat().st_size <= _LARGEST_SVG
    path, kind = (figure.svg, "svg+xml") if small else (figure.png, "png")
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _inches(figure: ReportFigure) -> str:
    """The width the figure was drawn for, read from its SVG; the page scales every picture alike from it."""
    width = _SVG_WIDTH.search(figure.svg.read_text(encoding="utf-8"))
    if width is None:
        raise UserError(f"{figure.svg}: no width in points, expected an SVG that matplotlib wrote")
    return f"{float(width.group(1)) / 72:.2f}"
