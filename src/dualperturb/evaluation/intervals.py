"""95 % intervals for the figures of an evaluation."""

from __future__ import annotations

import numpy as np
from scipy.stats import binomtest

CONFIDENCE = 0.95
NORMAL_QUANTILE = 1.959964  # of the standard normal distribution, at (1 + CONFIDENCE) / 2


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927), as fractions."""
    interval = binomtest(successes, count).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: np.ndarray) -> tuple[float, float]:
    """Normal interval of a mean over images; the mean itself where there is but one."""
    mean = float(np.mean(values))
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
    return mean - NORMAL_QUANTILE * error, mean + NORMAL_QUANTILE * error
