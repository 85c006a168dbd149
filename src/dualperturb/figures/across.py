"""Fig. 5: classifiers trained with one norm under attacks in another, and under JSMA."""

from __future__ import annotations

import pandas as pd

from dualperturb.figures.accuracy import accuracy_panel
from dualperturb.figures.names import NORM_NAMES
from dualperturb.figures.panel import Panel, where_in_use
from dualperturb.figures.sweeps import jsma
from dualperturb.params import Figures


def panels(results: pd.DataFrame, chosen: Figures) -> list[Panel]:
    """One panel, with JSMA where it was measured; a line where one of its two norms is not in use."""
    norm, trained = chosen.fig5.norm, chosen.fig5.trained
    name = f"classifiers trained with {NORM_NAMES[trained]} under attacks in {NORM_NAMES[norm]}"
    with_jsma = not jsma(results).empty
    panel = accuracy_panel("across", "Fig. 5", name, norm, (trained,), with_jsma)
    return [where_in_use(panel, results, {"fig5.norm": norm, "fig5.trained": trained})]
