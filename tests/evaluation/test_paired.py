"""Paired differences: published intervals, other libraries' tests, and what holds for any data."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.contingency_tables import mcnemar as peer_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from dualperturb.evaluation.claims.paired import (
    Estimate,
    holm,
    mcnemar,
    paired_means,
    paired_shares,
    share,
)
from dualperturb.evaluation.measuring.intervals import wilson

COUNTS = st.tuples(*[st.integers(0, 30)] * 4).filter(any)
PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def outcomes(both: int, first: int, second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Two bool arrays with so many images right in both, in one alone, and in none."""
    counts = (both, first, second, neither)
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def of(*counts: int) -> Estimate:
    return paired_shares(*outcomes(*counts))


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17, 2635, method 10.
        ((36, 12, 2, 0), 0.0569, 0.3404),
        # Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33, 2850: airways, and chemotherapy.
        ((1, 1, 7, 12), -0.507, -0.026),
        ((59, 6, 16, 80), -0.1186, -0.0046),
    ],
)
def test_published_intervals(counts: tuple[int, ...], low: float, high: float) -> None:
    found = of(*counts)
    digits = 5e-4 if abs(low) == 0.507 else 5e-5
    assert (found.low, found.high) == pytest.approx((low, high), abs=digits)
    assert found.n == sum(counts) and found.interval == "paired"
    assert found.value == pytest.approx((counts[1] - counts[2]) / sum(counts))


@given(COUNTS)
def test_the_interval_holds_the_difference_and_turns_with_it(counts: tuple[int, int, int, int]) -> None:
    both, first, second, neither = counts
    found, turned = of(*counts), of(both, second, first, neither)
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-12)
    failures = of(neither, first, second, both)  # of the second less of the first
    assert (failures.low, failures.high) == pytest.approx((found.low, found.high), abs=1e-12)


@given(st.integers(1, 100))
def test_outcomes_that_say_nothing_of_each_other_give_the_interval_of_independent_samples(count: int) -> None:
    """Newcombe 1998, Statistics in Medicine 17, 873, method 10: both Wilson intervals without correlation."""
    found = of(count, count, count, count)
    low, high = wilson(2 * count, 4 * count)
    assert (-found.low, found.high) == pytest.approx((math.hypot(0.5 - low, high - 0.5),) * 2)


def test_images_that_both_find_hard_narrow_the_interval() -> None:
    alike, apart = of(45, 5, 0, 50), of(25, 25, 20, 30)
    assert alike.value == apart.value == pytest.approx(0.05)
    assert alike.high - alike.low < 0.5 * (apart.high - apart.low)


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_test_is_mcnemars_exact_one(first: int, second: int) -> None:
    peer = peer_mcnemar([[3, first], [second, 4]], exact=True).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(peer)
    assert of(3, first, second, 4).p == mcnemar(first, second)


@given(PROBABILITIES)
def test_the_adjustment_is_holms(tests: list[float]) -> None:
    expected = multipletests(tests, method="holm")[1]
    assert holm(tests) == pytest.approx(list(expected))


def test_what_has_no_test_takes_no_part_in_the_adjustment() -> None:
    assert holm([0.04, None, 0.01]) == [0.04, None, 0.02]
    assert holm([]) == []


def test_a_difference_of_means_is_the_mean_of_differences() -> None:
    random = np.random.default_rng(0)
    second = random.random(40)
    first = second + random.normal(0.02, 0.05, 40)
    found, peer = paired_means(first, second), DescrStatsW(first - second)
    assert found is not None
    assert found.value == pytest.approx(peer.mean)
    assert (found.low, found.high) == pytest.approx(peer.zconfint_mean())
    assert found.p == pytest.approx(peer.ztest_mean()[1])
    assert found.p == pytest.approx(2 * norm.sf(found.value / peer.std_mean))


def test_means_without_spread() -> None:
    ones = np.ones(5)
    alike = paired_means(ones, ones)
    assert alike is not None and (alike.value, alike.low, alike.high, alike.p) == (0, 0, 0, 1)
    assert paired_means(ones, 0 * ones) is None, "a difference without spread has no interval and no test"


def test_a_single_image_has_no_spread() -> None:
    assert paired_means(np.ones(1), np.zeros(1)) is None and paired_means(np.ones(1), np.ones(1)) is None
    assert paired_means(np.array([1.0, 2.0]), np.zeros(2)) is not None


def test_a_share_has_wilsons_interval() -> None:
    found = share(np.array([True, False, False, False]))
    assert (found.value, found.low, found.high, found.n) == (0.25, *wilson(1, 4), 4) and found.p is None
