"""The paper's figures, drawn by matplotlib from tables and arrays, each with its caption and table.

The report and the stages import it; it uses no torch, no attack and no global pyplot state. Each figure is a
module with the name that `plots.panels` of params.yaml gives it, whose `panels` returns its records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dualperturb.errors import UserError
from dualperturb.figures.accuracy import accuracy_panels
from dualperturb.figures.arrays import read_arrays, read_examples
from dualperturb.figures.panel import Certificate, DrawnFrom, Panel, ToldFrom
from dualperturb.figures.salience import salience_panels
from dualperturb.figures.style import Style, save
from dualperturb.params import PANELS, Figures

__all__ = [
    "PANELS",
    "Certificate",
    "Panel",
    "Style",
    "ToldFrom",
    "accuracy_panels",
    "chosen_panels",
    "draw",
    "read_arrays",
    "read_examples",
    "salience_panels",
    "save",
]

# In the paper's order. The names are those of params, which may not import matplotlib: a second list could
# differ.
_PANELS: dict[str, Callable[[pd.DataFrame, Figures], list[Panel]]] = {
    name: import_module(f"dualperturb.figures.{name}").panels for name in PANELS
}


def chosen_panels(results: pd.DataFrame, chosen: Figures, names: Sequence[str]) -> list[Panel]:
    """The figures that one data set's results allow, in the paper's order.

    chosen: their norms; names: some of PANELS. A figure that is drawn per norm gives several records; one
    that was not measured (transfer, smoothing) gives none, and one in a norm that is not in use a record
    without a drawing. Raises `UserError` for an unknown name.
    """
    for name in names:
        if name not in _PANELS:
            raise UserError(f"plots.panels: found {name!r}; accepted: {', '.join(PANELS)}")
    return [panel for name, panels in _PANELS.items() if name in names for panel in panels(results, chosen)]


def draw(
    results: pd.DataFrame,
    examples: Mapping[str, Mapping[str, Any]],
    gradients: Mapping[str, Any],
    chosen: Figures,
    style: Style,
) -> dict[str, Figure]:
    """The figures of one data set that `style.panels` asks for, by the stem of their files, in paper order.

    `results` holds only the rows of that data set, `examples` its arrays for Fig. 1 ("dual") and 2 ("noise"),
    `gradients` those for Fig. 6, and `chosen` the figures' norms.
    """
    given = DrawnFrom(results, examples, gradients, style)
    panels = chosen_panels(results, chosen, style.panels)
    return {panel.stem: panel.draw(given) for panel in panels if panel.draw}
