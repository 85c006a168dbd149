"""Tables and pictures -> matplotlib figures. No torch, no attack, no global pyplot state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dualperturb.errors import UserError
from dualperturb.figures.accuracy import accuracy_panels, across_panels
from dualperturb.figures.arrays import read_arrays
from dualperturb.figures.gradients import gradient_pictures
from dualperturb.figures.names import classifier_labels
from dualperturb.figures.pictures import dual_examples, noise_examples
from dualperturb.figures.salience import salience_panels
from dualperturb.figures.smoothing import certificates, smoothing_panel
from dualperturb.figures.style import Style, save
from dualperturb.figures.sweeps import norms
from dualperturb.figures.transfer import transfer_panels, transfer_table

__all__ = [
    "PANELS",
    "Style",
    "accuracy_panels",
    "across_panels",
    "draw",
    "dual_examples",
    "figure_names",
    "gradient_pictures",
    "noise_examples",
    "read_arrays",
    "salience_panels",
    "save",
    "smoothing_panel",
    "transfer_panels",
]

# In the paper's order; accuracy and transfer are a figure a norm.
PANELS = (
    *("dual_examples", "noise_examples", "salience", "accuracy", "across", "gradients", "transfer"),
    "smoothing",
)


def figure_names(results: pd.DataFrame, panels: Sequence[str]) -> list[str]:
    """The names of the figures that `draw` makes of one data set's results, in the paper's order.

    They are the file stems that `dualperturb.report.paper_figures` looks for. panels: some of PANELS; what
    was not measured is left out: transfer, smoothing, and across norms unless there are two. Raises
    `UserError` for an unknown panel.
    """
    for panel in panels:
        if panel not in PANELS:
            raise UserError(f"plots.panels: found {panel!r}; accepted: {', '.join(PANELS)}")
    found = norms(results)
    transferred = results.loc[results["axis"] == "transfer", "norm"].unique()
    names = {panel: [panel] for panel in PANELS} | {
        "accuracy": [f"accuracy_{norm}" for norm in found],
        "across": ["across"] if len(found) == 2 else [],
        "transfer": [f"transfer_{norm}" for norm in found if norm in transferred],
        "smoothing": [] if certificates(results).empty else ["smoothing"],
    }
    return [name for panel in PANELS if panel in panels for name in names[panel]]


def draw(
    results: pd.DataFrame, examples: Mapping[str, Any], gradients: Mapping[str, Any], style: Style
) -> dict[str, Figure]:
    """The figures of one data set that `style.panels` asks for, by name, in the paper's order.

    `results` holds the rows of that data set alone; `examples` its arrays of Fig. 1 and 2, `gradients` those
    of Fig. 6.
    """

    def transferred(norm: str) -> Figure:
        table = transfer_table(results, norm)
        labels = classifier_labels(table["source"].unique()) | {"pgd": "PGD", "dual": "dual"}
        return transfer_panels(table, labels, style)

    plain: dict[str, Callable[[], Figure]] = {
        "dual_examples": lambda: dual_examples(examples, style),
        "noise_examples": lambda: noise_examples(examples, style),
        "salience": lambda: salience_panels(results, style),
        "across": lambda: across_panels(results, style),
        "gradients": lambda: gradient_pictures(
            gradients, classifier_labels(map(str, gradients["classifiers"])), style
        ),
        "smoothing": lambda: smoothing_panel(results, style),
    }
    by_norm: dict[str, Callable[[str], Figure]] = {
        "accuracy": lambda norm: accuracy_panels(results, norm, style),
        "transfer": transferred,
    }
    drawn = {}
    for name in figure_names(results, style.panels):
        kind, _, norm = name.partition("_")
        drawn[name] = by_norm[kind](norm) if kind in by_norm else plain[name]()
    return drawn
