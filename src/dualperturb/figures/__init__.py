"""Tables and pictures -> matplotlib figures, each with its caption and table. No torch, no attack, no global
pyplot state.

A figure is a module, named as params.yaml's `plots.panels` names it, whose `panels` gives its records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dualperturb.errors import UserError
from dualperturb.figures.accuracy import accuracy_panels
from dualperturb.figures.arrays import read_arrays
from dualperturb.figures.panel import Certificate, DrawnFrom, Panel, ToldFrom
from dualperturb.figures.salience import salience_panels
from dualperturb.figures.style import Style, save
from dualperturb.params import PANELS

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
    "salience_panels",
    "save",
]

# In the paper's order. params.py, which may not import matplotlib, has the names; a second list could differ.
_PANELS: dict[str, Callable[[pd.DataFrame], list[Panel]]] = {
    name: import_module(f"dualperturb.figures.{name}").panels for name in PANELS
}


def chosen_panels(results: pd.DataFrame, names: Sequence[str]) -> list[Panel]:
    """The figures that one data set's results allow, in the paper's order.

    names: some of PANELS; of a figure a norm there are several, of what was not measured (across norms where
    there is one, transfer, smoothing) there is none. Raises `UserError` for an unknown name.
    """
    for name in names:
        if name not in _PANELS:
            raise UserError(f"plots.panels: found {name!r}; accepted: {', '.join(PANELS)}")
    return [panel for name, panels in _PANELS.items() if name in names for panel in panels(results)]


def draw(
    results: pd.DataFrame, examples: Mapping[str, Any], gradients: Mapping[str, Any], style: Style
) -> dict[str, Figure]:
    """The figures of one data set that `style.panels` asks for, by their files' stem, in the paper's order.

    `results` holds the rows of that data set alone; `examples` its arrays of Fig. 1 and 2, `gradients` those
    of Fig. 6.
    """
    given = DrawnFrom(results, examples, gradients, style)
    return {panel.stem: panel.draw(given) for panel in chosen_panels(results, style.panels)}
