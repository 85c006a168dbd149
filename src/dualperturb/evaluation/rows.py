"""Parts of a row of reports/results.csv that several measures share."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dualperturb.attacks.adversary import ThreatModel
from dualperturb.evaluation.intervals import mean_interval, wilson


def accuracy_columns(correct: int, count: int) -> dict[str, float | int]:
    """n, accuracy, accuracy_low and accuracy_high (fractions, 95 % Wilson interval)."""
    low, high = wilson(correct, count)
    return {"n": count, "accuracy": correct / count, "accuracy_low": low, "accuracy_high": high}


def mean_columns(name: str, values: Iterable[float]) -> dict[str, float]:
    """The mean of `values` under `name`, with name_low and name_high (95 % interval)."""
    measured = np.asarray(list(values), dtype=np.float64)
    low, high = mean_interval(measured)
    return {name: float(measured.mean()), f"{name}_low": low, f"{name}_high": high}


def budget_columns(threat: ThreatModel, eps_f: float, eps_b: float | None) -> dict[str, str | float]:
    """norm; eps_f and eps_b at the paper's scale and as spent. eps_b None: eps_f for the whole image."""
    return {
        "norm": threat.norm,
        "eps_f": eps_f,
        "eps_b": eps_f if eps_b is None else eps_b,
        "eps_f_spent": threat.eps_f,
        "eps_b_spent": threat.eps_f if threat.eps_b is None else threat.eps_b,
    }
