"""The record of one figure of the paper, and the material for its drawing, its caption and its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dualperturb.figures.style import Style


@dataclass(frozen=True)
class Certificate:
    """How randomized smoothing certified: noise `sigma`, chance of error `alpha`, `samples` noisy copies.

    prediction_samples: those of a prediction under attack. largest_radius: the bound on every certified
    radius, sigma * Phi^-1(alpha^(1/samples)); left_out: the radii asked for that lie above it.
    """

    sigma: float
    alpha: float
    samples: int
    prediction_samples: int
    largest_radius: float
    left_out: tuple[float, ...] = ()


@dataclass(frozen=True)
class Material:
    """One data set's rows of the results, and its arrays of Fig. 1 and 2."""

    results: pd.DataFrame
    examples: Mapping[str, Any]


@dataclass(frozen=True)
class DrawnFrom(Material):
    """The material of drawings, which also need the arrays of Fig. 6, and the look."""

    gradients: Mapping[str, Any]
    style: Style


@dataclass(frozen=True)
class ToldFrom(Material):
    """The material of captions and tables, which also need the certificate, but no large arrays of Fig. 6."""

    certificate: Certificate


@dataclass(frozen=True)
class Panel:
    """One figure: its drawing, its caption, the table to unfold beside it and the rows a reader may save.

    stem: names its files and its place on the page; number: that in the paper, such as "Fig. 4"; rows None:
    the table itself is saved; in_comment: whether the short report in Markdown has the caption, too.
    """

    stem: str
    number: str
    name: str
    draw: Callable[[DrawnFrom], Figure]
    caption: Callable[[ToldFrom], str]
    table: Callable[[ToldFrom], pd.DataFrame]
    rows: Callable[[ToldFrom], pd.DataFrame] | None = None
    in_comment: bool = False
