"""Tables of the page: what they say follows from the results' rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dualperturb.errors import UserError
from dualperturb.report import summary_table
from dualperturb.report.health import health_parts
from dualperturb.report.measures import carlini_wagner_table, jsma_table, strong_table, unsuspicious_table
from tests.small_tables import small_health, small_results


@pytest.fixture
def results() -> pd.DataFrame:
    return small_results()


def chosen(results: pd.DataFrame, **where: object) -> pd.Series:
    return pd.Series(np.logical_and.reduce([results[name] == value for name, value in where.items()]))


def test_the_summary_holds_the_tables_numbers(results: pd.DataFrame) -> None:
    table = summary_table(results, "L2", 2.0, 20.0)
    assert list(table["defence"]) == ["Clean", "AT-PGD", "AT-Dual"]
    dual = "dual, eps_f = 2, eps_b = 20"
    assert list(table.columns) == ["defence", "clean images", "PGD, eps = 2", dual, "n"]
    shown = ["10.0 % [5.0, 15.0]", "40.0 % [35.0, 45.0]", "70.0 % [65.0, 75.0]"]
    assert list(table["clean images"]) == list(table[dual]) == shown
    assert set(table["PGD, eps = 2"]) == {"not measured"} and set(table["n"]) == {"50"}


def test_the_summary_picks_the_point_of_both_budgets(results: pd.DataFrame) -> None:
    point = {"axis": "eps_b", "value": 10.0, "defence": "at_dual", "trained_norm": "L2", "norm": "L2"}
    columns = ["accuracy", "accuracy_low", "accuracy_high", "n"]
    results.loc[chosen(results, **point), columns] = [0.634, 0.591, 0.675, 60]
    table = summary_table(results, "L2", 2.0, 10.0).set_index("defence")
    assert table.loc["AT-Dual", "dual, eps_f = 2, eps_b = 10"] == "63.4 % [59.1, 67.5]"
    assert table.loc["AT-Dual", "n"] == "50 / 60"


def test_the_summary_tells_points_of_one_background_budget_apart(results: pd.DataFrame) -> None:
    results.loc[chosen(results, axis="eps_f", value=4.0), "accuracy"] = 0.05
    cells = summary_table(results, "L2", 4.0, 20.0)["dual, eps_f = 4, eps_b = 20"]
    assert [cell.split(" [")[0] for cell in cells] == ["5.0 %"] * 3


def test_no_clean_accuracy_is_refused(results: pd.DataFrame) -> None:
    with pytest.raises(UserError, match="no clean accuracy .* shapes6"):
        summary_table(results[(results["axis"] != "eps") | (results["value"] != 0)], "L2", 2.0, 20.0)


def test_strong_attacks_stand_side_by_side_with_their_own_n(results: pd.DataFrame) -> None:
    table = strong_table(results, "L2", 2.0).set_index("classifier")
    assert list(table.columns) == [
        *("PGD, 100 steps", "AutoAttack (standard)", "C&W", "dual, 100 steps", "Dual-AutoAttack"),
    ]
    assert list(table.index) == ["Clean", "AT-PGD", "AT-Dual"]
    assert table.loc["AT-Dual", "AutoAttack (standard)"] == "70.0 % [65.0, 75.0] of 16"
    assert "C&W" not in strong_table(results, "Linf", 4.0).columns
    assert list(carlini_wagner_table(results)["eps"]) == [0, 1, 2, 3]
    assert strong_table(results[results["axis"] != "strong"], "Linf", 4.0).empty


def test_a_strong_attack_without_a_heading_is_shown_by_its_name(results: pd.DataFrame) -> None:
    own = results[(results["axis"] == "strong") & (results["attack"] == "dual")]
    table = strong_table(pd.concat([own.assign(attack="momentum"), results]), "L2", 2.0)
    assert list(table.columns[-2:]) == ["Dual-AutoAttack", "momentum"]
    assert list(table["momentum"]) == list(table["dual, 100 steps"])


def test_unsuspicious_tells_change_crossings_and_distances(results: pd.DataFrame) -> None:
    table = unsuspicious_table(results)
    assert len(table) == 6
    row = table[(table["norm"] == "L-infinity") & (table["classifier"] == "AT-Dual (L-infinity)")].iloc[0]
    assert row["its change"] == "-0.050 [-0.060, -0.040]" and row["fell below 0.5"] == "7 of 50"
    assert row["SSIM distance, foreground"] == "0.100 [0.090, 0.110]"


def test_health_has_a_column_a_classifier_and_counts_warnings() -> None:
    first, second = health_parts(small_health())
    assert (first.norm, second.norm) == ("L2", "L-infinity") and first.checks == 6
    assert first.warnings == (
        "AT-PGD: Does a step along the gradient raise the loss? <b>7</b> of 9 points of at_pgd.",
    )
    assert list(first.overview.columns) == ["check", "Clean", "AT-PGD", "AT-Dual"]
    assert list(first.overview["AT-PGD"]) == ["warn", "pass"]
    assert first.lines["AT-PGD"]["figures"][0] == "<b>7</b> of 9 points of at_pgd."


def test_a_check_that_one_classifier_lacks_is_a_dash() -> None:
    health = small_health()
    lost = (health["check"] == "finite") & (health["defence"] == "clean")
    assert list(next(health_parts(health[~lost])).overview["Clean"]) == ["pass", "–"]


def test_a_smaller_auto_attack_is_not_called_standard() -> None:
    results = small_results()
    results.loc[results["attack"] == "autoattack", "square_queries"] = 100
    assert "AutoAttack, 100 queries in Square" in strong_table(results, "L2", 2.0).columns


def test_jsma_has_a_column_a_classifier_and_its_training_norm(results: pd.DataFrame) -> None:
    table = jsma_table(results)
    assert list(table["pixels changed"]) == ["0 %", "5 %", "10 %"]
    assert list(table.columns[2:]) == [
        *("Clean", "AT-PGD (L2)", "AT-PGD (L-infinity)", "AT-Dual (L2)", "AT-Dual (L-infinity)"),
    ]
