"""95 % intervals for the figures of an evaluation.

They are written out although scipy has them: importing scipy.stats would take a third of every stage's start.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

NORMAL_QUANTILE = 1.959963984540054  # of the standard normal distribution, at 0.975


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion (Wilson 1927): its ends, in [0, 1]; count: at least 1."""
    share, square = successes / count, NORMAL_QUANTILE**2
    middle = successes + square / 2
    reach = NORMAL_QUANTILE * math.sqrt(count * share * (1 - share) + square / 4)
    low, high = (middle - reach) / (count + square), (middle + reach) / (count + square)
    # Exact where rounding would leave 1e-17.
    return low if successes > 0 else 0.0, high if successes < count else 1.0


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """Normal 95 % interval of a mean over images; with a single image both ends are the mean itself."""
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
    return mean - NORMAL_QUANTILE * error, mean + NORMAL_QUANTILE * error


def accuracy_columns(correct: int, count: int) -> dict[str, float | int]:
    """n, accuracy, accuracy_low and accuracy_high (fractions, 95 % Wilson interval)."""
    low, high = wilson(correct, count)
    return {"n": count, "accuracy": correct / count, "accuracy_low": low, "accuracy_high": high}


def mean_columns(name: str, values: Iterable[float]) -> dict[str, float]:
    """The mean of `values` under `name`, with name_low and name_high (95 % interval)."""
    measured = np.asarray(list(values), dtype=np.float64)
    low, high = mean_interval(measured)
    return {name: float(measured.mean()), f"{name}_low": low, f"{name}_high": high}
