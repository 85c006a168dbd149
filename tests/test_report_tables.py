"""Tables of the page: what they say follows from the results' rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dualperturb.errors import UserError
from dualperturb.report import summary_table
from dualperturb.report.health import health_parts
from dualperturb.report.measures import (
    carlini_wagner_table,
    distances_table,
    jsma_table,
    judges_table,
    strong_table,
)
from dualperturb.report.summary import headline
from tests.small_tables import small_health, small_results, under_a_bound


@pytest.fixture
def results() -> pd.DataFrame:
    return small_results()


def chosen(results: pd.DataFrame, **where: object) -> pd.Series:
    return pd.Series(np.logical_and.reduce([results[name] == value for name, value in where.items()]))


def test_the_summary_holds_the_tables_numbers(results: pd.DataFrame) -> None:
    table = summary_table(results, "L2", 2.0, 20.0)
    assert list(table["defence"]) == ["Clean", "AT-PGD", "AT-Dual"]
    dual = "dual, eps_f = 2, eps_b = 20"
    judged = [f"unsuspicious, {end}" for end in ("S ≥ clean", "S ≥ 0.9", "unseen judges")]
    assert list(table.columns) == ["defence", "clean images", "PGD, eps = 2", dual, *judged, "n"]
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


def test_the_headline_tells_what_two_defences_keep(results: pd.DataFrame) -> None:
    text = headline(results, "L2", 0.0, 20.0)
    assert text.startswith("L2: AT-PGD classifies 40 % of the test images rightly under PGD and 40 % under")
    assert "AT-Dual 70 % and 70 %" in text and "all images but 40 % on AT-PGD and 70 % on AT-Dual" in text
    without = results[~results["axis"].isin(("bound", "unsuspicious"))]
    assert "salient" not in headline(without, "L2", 0.0, 20.0)
    assert headline(results, "L2", 2.5, 20.0) == "", "no point of the sweep"
    assert headline(results[results["defence"] != "at_dual"], "L2", 0.0, 20.0) == ""


def test_judges_tell_the_change_of_the_score_and_the_share_kept(results: pd.DataFrame) -> None:
    table = judges_table(results, "Linf")
    assert len(table) == 3 * 6
    row = table[(table["classifier"] == "AT-Dual") & (table["attack"] == "dual, constrained")].iloc[0]
    assert list(row.index[2:]) == ["builtin", "contrast", "frequency_tuned", "all unseen", "n"]
    share = "30\N{NO-BREAK SPACE}%"
    assert row["contrast"] == f"-0.050, {share}" and row["all unseen"] == share and row["n"] == "50"
    together = table[(table["classifier"] == "AT-Dual") & (table["attack"] == "all of these")].iloc[0]
    assert together["builtin"] == share


def test_the_control_judges_where_it_is_the_model_that_scores(results: pd.DataFrame) -> None:
    own = results[results["judge"] != "center"].replace({"judge": {"builtin": "center"}})
    table = judges_table(own, "L2")
    assert list(table.columns[2:]) == ["center", "contrast", "frequency_tuned", "all unseen", "n"]
    alike = judges_table(results, "L2").rename(columns={"builtin": "center"})
    pd.testing.assert_frame_equal(table, alike)


def test_the_summary_and_its_sentence_name_a_bound(results: pd.DataFrame) -> None:
    table = summary_table(under_a_bound(results, "clean"), "L2", 2.0, 20.0)
    assert "dual, eps_f = 2, eps_b = 20, S ≥ clean" in table
    assert "dual, eps_f = 2, eps_b = 20, S ≥ 0.9" in summary_table(
        under_a_bound(results, 0.9), "L2", 2.0, 20.0
    )
    text = headline(under_a_bound(results, "clean-0.1"), "L2", 0.0, 20.0)
    assert (
        "40 % under the dual-perturbation attack with a foreground score of at least that of the original "
        "image less 0.1; AT-Dual 70 % and 70 %."
    ) in text
    assert "40 % under the dual-perturbation attack; AT-Dual" in headline(results, "L2", 0.0, 20.0)


def test_strong_attacks_name_the_bound_that_their_examples_keep(results: pd.DataFrame) -> None:
    table = strong_table(under_a_bound(results, "clean"), "L2", 2.0)
    assert list(table.columns[1:]) == [
        *("PGD, 100 steps", "AutoAttack (standard)", "C&W"),
        *("dual, 100 steps, S ≥ clean", "Dual-AutoAttack, S ≥ clean"),
    ]


def test_distances_stand_beside_the_controls_score(results: pd.DataFrame) -> None:
    results.loc[results["judge"] == "center", "foreground_score"] = 0.91
    table = distances_table(results, "L2")
    assert len(table) == 3 * 5
    row = table[table["classifier"] == "AT-PGD"].iloc[0]
    assert row["S (builtin)"] == "0.600 [0.580, 0.620]" and row["S of the control"].startswith("0.910")
    assert row["fell below 0.5"] == "7 of 50" and row["SSIM distance, foreground"] == "0.100 [0.090, 0.110]"


def test_the_summary_shows_unsuspicious_accuracy_where_it_was_measured(results: pd.DataFrame) -> None:
    table = summary_table(results, "L2", 2.0, 20.0).set_index("defence")
    assert table.loc["AT-Dual", "unsuspicious, S ≥ clean"] == "70.0 % [65.0, 75.0]"
    assert table.loc["AT-Dual", "unsuspicious, S ≥ 0.9"] == "97.0 % [92.0, 102.0]"
    assert table.loc["AT-Dual", "unsuspicious, unseen judges"] == "70.0 % [65.0, 75.0]"
    without = results[~results["axis"].isin(("bound", "unsuspicious"))]
    assert not [name for name in summary_table(without, "L2", 2.0, 20.0) if "unsuspicious" in name]


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
