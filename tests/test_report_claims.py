"""The claims' table: numbers, intervals and verdicts by the stated rules."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dualperturb.report import claims_table
from dualperturb.report.claims import difference
from tests.small_tables import BUDGETS, small_results

BREAKS = "AT-PGD breaks under the dual attack"
LEADS = "AT-Dual is much more robust than AT-PGD under dual, up to 40 points"
CLEAN = "AT-Dual loses little accuracy on clean images"
LARGE = "AT-Dual is better under PGD of large budgets"
RAISES = "A larger salience weight raises the foreground score"
WEAKENS = "A larger salience weight hardly weakens the attack"


@pytest.fixture
def results() -> pd.DataFrame:
    return small_results()


def line(results: pd.DataFrame, claim: str, classifier: str) -> pd.Series:
    table = claims_table(results, BUDGETS)
    rows = table[(table["claim"] == claim) & (table["classifier"] == classifier)]
    assert len(rows) == 1
    return rows.iloc[0]


def put(results: pd.DataFrame, accuracy: float, reach: float = 0.01, **where: object) -> None:
    """Set the accuracy of the rows in which the columns have these values."""
    rows = np.logical_and.reduce([results[name] == value for name, value in where.items()])
    assert rows.any()
    results.loc[rows, ["accuracy", "accuracy_low", "accuracy_high"]] = [
        accuracy,
        accuracy - reach,
        accuracy + reach,
    ]


def test_every_claim_is_there_for_each_norm_classifier_and_loss(results: pd.DataFrame) -> None:
    counts = claims_table(results, BUDGETS)["claim"].value_counts()
    assert dict(counts) == {BREAKS: 2, LEADS: 2, CLEAN: 2, LARGE: 2, RAISES: 6, WEAKENS: 6}


def test_a_broken_at_pgd_holds_below_a_tenth_alone(results: pd.DataFrame) -> None:
    point = {"defence": "at_pgd", "trained_norm": "L2", "norm": "L2", "eps_f": 2.0, "eps_b": 20.0}
    for accuracy, verdict in ((0.04, "holds"), (0.12, "does not hold here")):
        put(results, accuracy, **point)
        row = line(results, BREAKS, "AT-PGD, L2")
        assert row["verdict"] == verdict and row["at"] == "eps_f = 2, eps_b = 20"
    assert row["ours"] == "12.0 % [11.0, 13.0]"
    assert line(results, BREAKS, "AT-PGD, L-infinity")["ours"].startswith("40.0 %")


def test_an_interval_over_the_bound_is_told(results: pd.DataFrame) -> None:
    point = {"defence": "at_pgd", "trained_norm": "L2", "norm": "L2", "eps_f": 2.0, "eps_b": 20.0}
    put(results, 0.09, 0.02, **point)
    assert line(results, BREAKS, "AT-PGD, L2")["verdict"] == "holds (interval reaches the bound)"


def test_a_budget_that_was_not_swept_is_not_measured(results: pd.DataFrame) -> None:
    table = claims_table(results, {"L2": (2.0, 15.0), "Linf": (4.0, 20.0)})
    row = table[(table["claim"] == BREAKS) & (table["classifier"] == "AT-PGD, L2")].iloc[0]
    assert row["verdict"] == "not measured" and row["ours"] == "–"


def test_the_lead_is_the_largest_over_the_background_budget(results: pd.DataFrame) -> None:
    assert line(results, LEADS, "AT-Dual less AT-PGD, L2")["verdict"] == "does not hold here"
    put(results, 0.85, defence="at_dual", trained_norm="L2", norm="L2", axis="eps_b", value=10.0)
    row = line(results, LEADS, "AT-Dual less AT-PGD, L2")
    assert row["verdict"] == "holds (interval reaches the bound)" and row["at"] == "eps_b = 10"
    assert row["ours"].startswith("+45.0 points [+39.9, ")


def test_eight_points_may_be_lost_on_clean_images(results: pd.DataFrame) -> None:
    clean = {"trained_norm": "L2", "norm": "L2", "axis": "eps", "value": 0.0}
    put(results, 0.80, defence="at_pgd", **clean)
    for accuracy, verdict in ((0.75, "holds"), (0.70, "does not hold here")):
        put(results, accuracy, defence="at_dual", **clean)
        assert line(results, CLEAN, "AT-Dual less AT-PGD, L2")["verdict"].startswith(verdict)


def test_large_budgets_are_judged_at_the_largest_alone(results: pd.DataFrame) -> None:
    put(results, 0.3, defence="at_dual", trained_norm="Linf", norm="Linf", axis="eps", value=3.0)
    row = line(results, LARGE, "AT-Dual less AT-PGD, L-infinity")
    assert row["verdict"] == "does not hold here" and row["at"] == "eps = 3"
    assert line(results, LARGE, "AT-Dual less AT-PGD, L2")["verdict"] == "holds"


def test_the_salience_weight_is_judged_from_its_least_to_its_largest(results: pd.DataFrame) -> None:
    last = (results["axis"] == "salience_weight") & (results["value"] == 10) & (results["defence"] == "clean")
    last &= results["loss"] == "dlr"
    score = ["foreground_score", "foreground_score_low", "foreground_score_high"]
    results.loc[last, score] = [0.7, 0.68, 0.72]
    results.loc[last, ["accuracy", "accuracy_low", "accuracy_high"]] = [0.3, 0.29, 0.31]
    raised = line(results, RAISES, "Clean, DLR loss, L2")
    assert raised["verdict"] == "holds" and raised["ours"] == "+0.100 [+0.072, +0.128]"
    assert raised["at"] == "weight 0 to 10"
    assert line(results, RAISES, "Clean, cross-entropy loss, L2")["verdict"].startswith("does not hold")
    weakened = line(results, WEAKENS, "Clean, DLR loss, L2")
    assert weakened["verdict"] == "does not hold here" and " points [" in weakened["ours"]
    assert line(results, WEAKENS, "Clean, cross-entropy loss, L2")["verdict"].startswith("holds")


def test_a_single_salience_weight_says_nothing_of_a_larger_one(results: pd.DataFrame) -> None:
    alone = results[(results["axis"] != "salience_weight") | (results["value"] == 10)]
    for claim in (RAISES, WEAKENS):
        assert line(alone, claim, "Clean, cross-entropy loss, L2")["verdict"] == "not measured"


def test_the_interval_of_a_difference_is_newcombes() -> None:
    """His example: 56 of 70 against 48 of 80, method 10: 0.0524 to 0.3339."""
    more = pd.Series({"accuracy": 56 / 70, "accuracy_low": 0.6918, "accuracy_high": 0.8769})
    less = pd.Series({"accuracy": 48 / 80, "accuracy_low": 0.4905, "accuracy_high": 0.7005})
    found = difference(more, less, "accuracy", "")
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=2e-4)


def test_of_one_norm_the_claims_are_of_that_norm_alone() -> None:
    table = claims_table(small_results(("Linf",)), {"Linf": (4.0, 20.0)})
    assert len(table) == 4 + 12 and not table["classifier"].str.contains("L2").any()
