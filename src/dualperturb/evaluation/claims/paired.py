"""Differences between two classifiers or two attacks on the same images, with 95 % intervals and tests.

The same images are easy or hard for both, so that a paired interval is mostly narrower than one for
independent samples, and a paired test finds more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dualperturb.evaluation.measuring.intervals import mean_interval, wilson


@dataclass(frozen=True)
class Estimate:
    """A share, or a difference of shares or of means, with its 95 % interval, over `n` images.

    interval: how it was made (wilson or paired); p: that of the test of no difference, None where there is no
    test.
    """

    value: float
    low: float
    high: float
    n: int
    interval: str
    p: float | None = None


def share(successes: np.ndarray) -> Estimate:
    """The share of True in bool (n,), with Wilson's interval."""
    count, found = len(successes), int(successes.sum())
    return Estimate(found / count, *wilson(found, count), count, "wilson")


def paired_shares(first: np.ndarray, second: np.ndarray) -> Estimate:
    """The share of True in `first` less that in `second`, bool (n,) of the same images.

    The interval is Newcombe's method 10 for paired data (Newcombe 1998, "Improved confidence intervals for
    the difference between binomial proportions based on paired data", Statistics in Medicine 17, 2635): both
    Wilson intervals, put together with the correlation phi, whose numerator is corrected for continuity.
    The test is McNemar's exact one.
    """
    count = len(first)
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    one, other = (both + only_first) / count, (both + only_second) / count
    (low, high), (other_low, other_high) = wilson(both + only_first, count), wilson(both + only_second, count)
    phi = _phi(both, only_first, only_second, neither)
    below = _reach(one - low, other_high - other, phi)
    above = _reach(high - one, other - other_low, phi)
    difference = (only_first - only_second) / count
    p = mcnemar(only_first, only_second)
    return Estimate(difference, difference - below, difference + above, count, "paired", p)


def paired_means(first: np.ndarray, second: np.ndarray) -> Estimate | None:
    """The mean of `first` less that of `second`, (n,) of the same images: that of the images' differences.

    Interval and test take the mean for normal. None for fewer than two images, and where all differ by the
    same, which tells no spread; but where none differs at all, p is 1.
    """
    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    if len(differences) < 2 or (np.ptp(differences) == 0 and differences[0] != 0):
        return None
    value, (low, high) = float(differences.mean()), mean_interval(differences)
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    p = math.erfc(abs(value) / error / math.sqrt(2)) if error > 0 else 1.0
    return Estimate(value, low, high, len(differences), "paired", p)


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact test (two-sided): the p-value that both discordant counts have the same expectation."""
    from scipy.stats import binomtest  # here, since it takes longer to import than all else

    discordant = only_first + only_second
    return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0


def holm(tests: Sequence[float | None]) -> list[float | None]:
    """p-values adjusted for their number (Holm 1979), in the order given; None, which is no test, stays."""
    order = sorted((p, place) for place, p in enumerate(tests) if p is not None)
    adjusted: list[float | None] = [None] * len(tests)
    largest = 0.0
    for rank, (p, place) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        adjusted[place] = largest
    return adjusted


def _phi(both: int, only_first: int, only_second: int, neither: int) -> float:
    """The correlation of two binary outcomes; a positive numerator is taken n / 2 nearer to 0."""
    count = both + only_first + only_second + neither
    product = float(both * neither - only_first * only_second)
    if product > 0:
        product = max(product - count / 2, 0.0)
    sides = (both + only_first, only_second + neither, both + only_second, only_first + neither)
    return product / math.sqrt(math.prod(sides)) if all(sides) else 0.0


def _reach(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(one**2 - 2 * phi * one * other + other**2, 0.0))
