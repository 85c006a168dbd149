"""params.yaml as frozen, checked objects, a module a section: the only reader of that file. Imports no torch.

Stages, the command line and what turns parameters into objects import it.
"""

from __future__ import annotations

from dualperturb.params.whole import (
    AXES,
    DATASETS,
    DEFENCES,
    NORMS,
    PANELS,
    TRAINED_BY_NORM,
    LogAxis,
    PanelName,
    Params,
    load_params,
)

__all__ = [
    "AXES",
    "DATASETS",
    "DEFENCES",
    "NORMS",
    "PANELS",
    "TRAINED_BY_NORM",
    "LogAxis",
    "PanelName",
    "Params",
    "load_params",
]
