"""The formulas of prediction and certification, on counts of votes alone."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from dualperturb.evaluation.measuring.intervals import wilson
from dualperturb.evaluation.smoothing import ABSTAINED, certified_accuracy, lower_bound, predict


@pytest.mark.parametrize(("n", "alpha"), [(100, 0.001), (1000, 0.001), (37, 0.05), (100_000, 0.001)])
def test_the_lower_bound_is_that_of_clopper_and_pearson(n: int, alpha: float) -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for votes in (0, 1, n // 2, (3 * n) // 4, n - 1, n):
        found = lower_bound(votes, n, alpha)
        expected = proportion.proportion_confint(votes, n, alpha=2 * alpha, method="beta")[0]
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_the_lower_bound_is_the_probability_at_which_so_many_votes_have_the_chance_alpha() -> None:
    for votes, n in ((1, 20), (60, 100), (999, 1000), (1000, 1000)):
        assert binom.sf(votes - 1, n, lower_bound(votes, n, 0.01)) == pytest.approx(0.01)
    assert lower_bound(0, 100, 0.01) == 0
    assert lower_bound(100, 100, 0.01) == pytest.approx(0.01 ** (1 / 100))


def two_sided(votes: int, runner_up: int) -> Fraction:
    """The exact chance of a division at least as uneven of as many fair votes."""
    total = votes + runner_up
    tail = Fraction(sum(math.comb(total, k) for k in range(votes, total + 1)), 2**total)
    return min(Fraction(1), 2 * tail)


@pytest.mark.parametrize("alpha", [0.001, 0.05])
def test_predict_abstains_by_the_exact_two_sided_test(alpha: float) -> None:
    decisions = set()
    for votes in range(50, 101):
        chosen, first, second = predict(np.array([0, 100 - votes, votes]), alpha)
        expected = 2 if two_sided(votes, 100 - votes) <= alpha else ABSTAINED
        assert (chosen, first, second) == (expected, votes, 100 - votes)
        decisions.add(chosen)
    assert decisions == {2, ABSTAINED}


def test_predict_compares_the_two_classes_in_front_alone() -> None:
    assert predict(np.array([30, 3, 5, 4]), 0.001) == (0, 30, 5)
    assert predict(np.array([3, 14, 13]), 0.001) == (ABSTAINED, 14, 13)
    assert predict(np.array([40]), 0.001) == (0, 40, 0)


def test_certified_accuracy_counts_the_right_ones_beyond_the_radius() -> None:
    table = pd.DataFrame({"correct": [True, True, True, False, False], "radius": [0.5, 0.2, 0.01, 0.9, 0.0]})
    for radius, count in ((0.0, 3), (0.1, 2), (0.2, 1), (0.3, 1), (0.6, 0)):
        low, high = wilson(count, 5)
        share = {"n": 5, "accuracy": count / 5, "accuracy_low": low, "accuracy_high": high}
        assert certified_accuracy(table, radius) == share
