from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from dualperturb.evaluation.measuring.intervals import mean_interval, wilson

Z = 1.9599639845400545


@pytest.mark.parametrize(
    ("successes", "count"), [(0, 10), (10, 10), (1, 1), (81, 263), (299, 300), (250, 500)]
)
def test_wilson_is_scipys(successes: int, count: int) -> None:
    expected = binomtest(successes, count).proportion_ci(0.95, method="wilson")
    assert wilson(successes, count) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_agrees_with_published_values() -> None:
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3.
    for (successes, count), (low, high) in {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }.items():
        assert wilson(successes, count) == pytest.approx((low, high), abs=5e-5)


def test_wilson_holds_the_proportion_and_stays_in_range() -> None:
    for count in (1, 7, 300):
        for successes in range(count + 1):
            low, high = wilson(successes, count)
            assert 0 <= low <= successes / count <= high <= 1


def test_the_interval_of_a_mean() -> None:
    # Standard deviation of 1, 2, 3, 4: sqrt(5 / 3); its error at n = 4: half of that.
    error = math.sqrt(5 / 3) / 2
    expected = (2.5 - Z * error, 2.5 + Z * error)
    assert mean_interval(np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx(expected, abs=1e-5)


def test_a_single_value_has_no_spread() -> None:
    assert mean_interval(np.array([0.7])) == (0.7, 0.7)
