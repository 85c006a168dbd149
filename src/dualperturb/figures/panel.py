"""The record of one figure, the material of its drawing, caption and table, and the line in place of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dualperturb.figures.style import Style
from dualperturb.figures.sweeps import norms


@dataclass(frozen=True)
class Certificate:
    """How randomized smoothing certified: noise `sigma`, chance of error `alpha`, `samples` noisy copies.

    prediction_samples: those of a prediction under attack. sigma_f, sigma_b: noise by region; mask: whose
    regions, "given" or "center". largest_radii: defence -> the bound on each of its certified radii,
    sigma * Phi^-1(alpha^(1/samples)), of two sigmas the lower one; left_out: defence -> the radii asked for
    that lie above it.
    """

    sigma: float
    alpha: float
    samples: int
    prediction_samples: int
    sigma_f: float
    sigma_b: float
    mask: str
    largest_radii: Mapping[str, float]
    left_out: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Material:
    """One data set's rows of the results, and its arrays of Fig. 1 ("dual") and of Fig. 2 ("noise")."""

    results: pd.DataFrame
    examples: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class DrawnFrom(Material):
    """The material of drawings, which also need the arrays of Fig. 6, and the look."""

    gradients: Mapping[str, Any]
    style: Style


@dataclass(frozen=True)
class ToldFrom(Material):
    """The material of captions and tables, which also need the certificate, but no large arrays of Fig. 6.

    self_scored: whether the masks come from the saliency model that gives the foreground scores.
    """

    certificate: Certificate
    self_scored: bool = False

    @property
    def score_note(self) -> str:
        """A sentence for captions that tell foreground scores."""
        if not self.self_scored:
            return ""
        return (
            " The masks come from the very model that scores: a score tells how much of its density an "
            "attack moves off the foreground that the model itself chose."
        )


@dataclass(frozen=True)
class Panel:
    """One figure: its drawing, its caption, the table to unfold beside it and the rows a reader may save.

    stem: names its files and its place on the page; number: that in the paper, such as "Fig. 4"; draw None:
    it cannot be drawn, and the caption says why; rows None: the table itself is saved; in_comment: whether
    the short report in Markdown has the caption, too.
    """

    stem: str
    number: str
    name: str
    draw: Callable[[DrawnFrom], Figure] | None
    caption: Callable[[ToldFrom], str]
    table: Callable[[ToldFrom], pd.DataFrame]
    rows: Callable[[ToldFrom], pd.DataFrame] | None = None
    in_comment: bool = False


def where_in_use(panel: Panel, results: pd.DataFrame, asked: Mapping[str, str]) -> Panel:
    """The panel, or a line in its place where a norm that it asks for is not among those of the results.

    asked: key in the section `figures` of params.yaml -> norm.
    """
    used = norms(results)
    lacking = {key: norm for key, norm in asked.items() if norm not in used}
    if not lacking:
        return panel
    key, norm = next(iter(lacking.items()))
    line = (
        f"Not drawn: figures.{key} is {norm}, which is not among the norms of this run ({', '.join(used)})."
    )
    return replace(panel, draw=None, caption=lambda given: line, rows=None, in_comment=True)
