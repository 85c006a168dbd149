"""A panel: all that belongs to one figure of the paper, and what it is drawn and told from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist  # importing scipy.stats would take a third of the start
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dualperturb.figures.style import Style


@dataclass(frozen=True)
class Certificate:
    """How randomized smoothing certified: noise `sigma`, chance of error `alpha`, `samples` noisy copies."""

    sigma: float
    alpha: float
    samples: int

    @property
    def largest_radius(self) -> float:
        """No certified radius can exceed it, whatever the classifier: sigma * Phi^-1(alpha^(1/n))."""
        return self.sigma * NormalDist().inv_cdf(self.alpha ** (1 / self.samples))


@dataclass(frozen=True)
class Material:
    """One data set's rows of the results, and its arrays of Fig. 1 and 2."""

    results: pd.DataFrame
    examples: Mapping[str, Any]


@dataclass(frozen=True)
class DrawnFrom(Material):
    """What drawings need besides: the arrays of Fig. 6, and the look."""

    gradients: Mapping[str, Any]
    style: Style


@dataclass(frozen=True)
class ToldFrom(Material):
    """What captions and tables need besides. They do without the large arrays of Fig. 6."""

    certificate: Certificate


@dataclass(frozen=True)
class Panel:
    """One figure: its drawing, its caption, the table to unfold beside it and the rows a reader may save.

    stem: of its files' names, and its place on the page; number: in the paper, such as "Fig. 4"; rows None:
    what is saved is the table itself; in_comment: whether the short report in Markdown has the caption, too.
    """

    stem: str
    number: str
    name: str
    draw: Callable[[DrawnFrom], Figure]
    caption: Callable[[ToldFrom], str]
    table: Callable[[ToldFrom], pd.DataFrame]
    rows: Callable[[ToldFrom], pd.DataFrame] | None = None
    in_comment: bool = False
