"""Tables and pictures -> matplotlib figures. No torch, no attack, no global pyplot state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dualperturb.figures.curves import accuracy_panels, salience_panels
from dualperturb.figures.pictures import dual_examples, noise_examples
from dualperturb.figures.style import Style, save

__all__ = ["Style", "accuracy_panels", "draw", "dual_examples", "noise_examples", "salience_panels", "save"]


def draw(results: pd.DataFrame, examples: Mapping[str, Any], style: Style) -> dict[str, Figure]:
    """All figures of one data set by name, in the paper's order (Fig. 1 to 4).

    `results` holds the rows of that data set alone; `examples` its example arrays. The names are the file
    stems that `dualperturb.report.paper_figures` looks for.
    """
    return {
        "dual_examples": dual_examples(examples, style),
        "noise_examples": noise_examples(examples, style),
        "salience": salience_panels(results, style),
        "accuracy": accuracy_panels(results, style),
    }
