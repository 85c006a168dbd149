"""The report: one self-contained HTML page made of tables, figures and arrays, and in short as Markdown.

The stage `report` imports it; it imports figures and evaluation.
"""

from __future__ import annotations

from dualperturb.figures import Certificate
from dualperturb.report.claims import claims_text
from dualperturb.report.data import DatasetReport, MaskSummary, ReportData, ReportFigure
from dualperturb.report.health import COLUMNS as HEALTH_COLUMNS
from dualperturb.report.page import render_html, render_markdown
from dualperturb.report.paper import paper_figures
from dualperturb.report.summary import summary_table

__all__ = [
    "HEALTH_COLUMNS",
    "Certificate",
    "DatasetReport",
    "MaskSummary",
    "ReportData",
    "ReportFigure",
    "claims_text",
    "paper_figures",
    "render_html",
    "render_markdown",
    "summary_table",
]
