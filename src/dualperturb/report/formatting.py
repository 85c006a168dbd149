"""Conversion of values, tables and pictures to text for the templates."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup, escape

from dualperturb.errors import REMAKE, UserError
from dualperturb.evaluation.claims.lines import FAILS, HOLDS, OPEN
from dualperturb.report.data import ReportFigure
from dualperturb.report.encoding import data_uri
from dualperturb.report.health import PASS, WARN

# Above this an SVG holds mostly pixels, which PNG packs better.
_LARGEST_SVG = 200_000

_SVG_WIDTH = re.compile(r'<svg[^>]*? width="([0-9.]+)pt"')

_INTERVAL = re.compile(r"(?P<value>.+?) (?P<interval>\[[^\]]*\].*)")
_VERDICTS = {  # verdict -> class and sign
    **dict.fromkeys((HOLDS, PASS), ("good", "✓")),
    **dict.fromkeys((FAILS, WARN), ("bad", "!")),
    OPEN: ("open", "?"),
}


def cell(value: Any) -> str:
    """A value as text: short floats, lists in a row, a dash for nothing."""
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(part) for part in value) or "–"
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def html_cell(value: Any) -> Markup:
    """A cell's text, escaped. A number and its interval are apart, so that a narrow page breaks between them;
    a verdict is marked by a sign and a colour."""
    text = cell(value)
    if text in _VERDICTS:
        marked = Markup('<span class="verdict {}"><span aria-hidden="true">{}</span> {}</span>')
        return marked.format(*_VERDICTS[text], text)
    if parts := _INTERVAL.fullmatch(text):
        return Markup('<span class="value">{}</span> <span class="interval">{}</span>').format(
            *parts.groups()
        )
    return escape(text).replace("L-infinity", Markup('<span class="value">L-infinity</span>'))


def md_cell(value: Any) -> str:
    """A cell's text that cannot break out of a Markdown table or turn into HTML."""
    text = re.sub(r"([\\`*|])", r"\\\1", cell(value))
    return re.sub(r"\s+", " ", text.replace("<", "&lt;"))


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def figure_uri(figure: ReportFigure) -> str:
    """The picture inlined: SVG, which stays sharp, or PNG where the SVG is large."""
    small = len(_read(figure.svg)) <= _LARGEST_SVG
    path, kind = (figure.svg, "svg+xml") if small else (figure.png, "png")
    return data_uri(_read(path), f"image/{kind}")


def csv_uri(table: pd.DataFrame) -> str:
    """A table as CSV, to save from the page."""
    return data_uri(table.to_csv(index=False).encode(), "text/csv")


def inches(figure: ReportFigure) -> str:
    """The width the figure was drawn for, read from its SVG; the page scales every picture alike from it."""
    width = _SVG_WIDTH.search(_read(figure.svg).decode())
    if width is None:
        raise UserError(f"{figure.svg}: no width in points, expected an SVG that matplotlib wrote")
    return f"{float(width.group(1)) / 72:.2f}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error}); {REMAKE}") from error
