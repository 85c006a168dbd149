"""The norms of training and of attack that are in no figure of the paper: one figure per norm of attack."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from dualperturb.figures.accuracy import accuracy_panel
from dualperturb.figures.names import NORM_NAMES
from dualperturb.figures.panel import Panel
from dualperturb.figures.sweeps import norms
from dualperturb.figures.texts import norms_text
from dualperturb.params import Figures


def panels(results: pd.DataFrame, chosen: Figures) -> list[Panel]:
    """A panel for each norm of attack in which Fig. 4 and 5 leave out a norm of training."""
    shown = {(chosen.fig4.norm, chosen.fig4.norm), (chosen.fig5.norm, chosen.fig5.trained)}
    used = norms(results)
    made = []
    for norm in used:
        trained = tuple(one for one in used if (norm, one) not in shown)
        if trained:
            name = f"classifiers trained with {norms_text(trained)} under attacks in {NORM_NAMES[norm]}"
            panel = accuracy_panel(f"combinations_{norm}", "Appendix (ours)", name, norm, trained)
            made.append(replace(panel, in_comment=False))
    return made
