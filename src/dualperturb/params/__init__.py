"""params.yaml as frozen, checked objects, a module a section: the only reader of that file. Imports no torch.

Stages, the command line and what turns parameters into objects import it.
"""

from __future__ import annotations

from dualperturb.core.budgets import NORMS
from dualperturb.params.dataset import DATASETS
from dualperturb.params.figures import Figures
from dualperturb.params.plots import PANELS, LogAxis, PanelName
from dualperturb.params.reading import load_params
from dualperturb.params.training import DEFENCES, SMOOTHED, TRAINED_BY_NORM
from dualperturb.params.whole import AXES, SALIENCE_LOSSES, Params

__all__ = [
    "AXES",
    "DATASETS",
    "DEFENCES",
    "NORMS",
    "PANELS",
    "SALIENCE_LOSSES",
    "SMOOTHED",
    "TRAINED_BY_NORM",
    "Figures",
    "LogAxis",
    "PanelName",
    "Params",
    "load_params",
]
