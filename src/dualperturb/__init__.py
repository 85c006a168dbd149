"""dualperturb: dual-perturbation attacks and defences (unsuspicious adversarial examples).

The public names are imported on first use, so that the command line answers without loading torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from dualperturb.core.budgets import NORMS

_HOME = {
    **dict.fromkeys(NORMS, "dualperturb.core.norms"),
    "Dual": "dualperturb.core.balls",
    "pgd": "dualperturb.core.pgd",
    "nested_pgd": "dualperturb.attacks.nested",
    "apgd": "dualperturb.attacks.apgd",
    "auto_attack": "dualperturb.attacks.auto",
    "jsma": "dualperturb.attacks.jsma",
    "AttackResult": "dualperturb.core.result",
    "foreground_mask": "dualperturb.saliency",
    "foreground_score": "dualperturb.saliency",
    "saliency_model": "dualperturb.saliency",
    "load_classifier": "dualperturb.core.classifiers.storage",
    "wilson": "dualperturb.evaluation.measuring.intervals",
    "UserError": "dualperturb.errors",
}

__all__ = list(_HOME)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'dualperturb' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
