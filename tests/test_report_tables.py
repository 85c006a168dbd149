"""Captions and tables: what they say follows from the results' rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dualperturb.errors import UserError
from dualperturb.report import Certificate, summary_table
from dualperturb.report.captions import accuracy_caption, across_caption, salience_caption
from dualperturb.report.further import (
    gradient_caption,
    gradient_table,
    smoothing_caption,
    smoothing_table,
    transfer_caption,
    transfer_shown,
)
from dualperturb.report.health import health_parts
from dualperturb.report.measures import carlini_wagner_table, strong_table, unsuspicious_table
from dualperturb.report.pictures import dual_examples_caption, noise_examples_caption
from dualperturb.report.sweep_tables import accuracy_table, across_table, jsma_table
from tests.small_tables import small_examples, small_health, small_results


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


def test_the_lead_is_computed_from_the_sweep(results: pd.DataFrame) -> None:
    point = chosen(results, axis="eps_b", value=10.0, defence="at_dual", trained_norm="L2", norm="L2")
    results.loc[point, "accuracy"] = 0.948
    text = accuracy_caption(results, "L2")
    assert "on the eps_b sweep: 54.8 points at eps_b = 10 (intervals apart)" in text
    assert "eps_b = 20;" in text and "eps_f = 2;" in text and "50 images a point" in text
    assert "JSMA" not in text
    assert "54.8" not in accuracy_caption(results, "Linf")


def test_no_lead_and_overlapping_intervals_are_said(results: pd.DataFrame) -> None:
    dual = results["defence"] == "at_dual"
    results.loc[dual, "accuracy"] = 0.4
    assert accuracy_caption(results, "L2").count("AT-Dual is nowhere above AT-PGD") == 3
    results.loc[dual, ["accuracy", "accuracy_low"]] = [0.41, 0.36]
    assert accuracy_caption(results, "L2").count("1.0 points") == 3
    assert accuracy_caption(results, "L2").count("intervals overlap") == 3


def test_jsma_is_told_where_it_is_drawn(results: pd.DataFrame) -> None:
    text = accuracy_caption(results, "Linf")
    assert "50 images a point; accuracy at 10 %: Clean 10.0 %, AT-PGD 40.0 %, AT-Dual 70.0 %." in text
    table = jsma_table(results)
    assert list(table["pixels changed"]) == ["0 %", "5 %", "10 %"]
    assert list(table.columns[2:]) == [
        *("Clean", "AT-PGD (L2)", "AT-PGD (L-infinity)", "AT-Dual (L2)", "AT-Dual (L-infinity)"),
    ]


def test_across_norms_both_accuracies_are_told(results: pd.DataFrame) -> None:
    text = across_caption(results)
    assert "L2 pgd, eps = 3: AT-PGD 35.0 % (40.0 %), AT-Dual 65.0 % (70.0 %);" in text
    assert "L-infinity dual, eps_b = 20: AT-PGD 35.0 % (40.0 %)" in text
    table = across_table(results)
    assert len(table) == 18 and "Clean" not in "".join(table.columns)
    own = table[table["norm"] == "L2"]
    assert set(own["AT-PGD, trained with L-infinity"]) == {"35.0 % [30.0, 40.0]"}


def test_salience_caption_tells_the_change_of_each_defence(results: pd.DataFrame) -> None:
    last = chosen(results, axis="salience_weight", value=10.0, defence="clean")
    paper = last & (results["objective"] == "paper")
    results.loc[paper, ["foreground_score", "accuracy"]] = [0.65, 0.3]
    results.loc[last & ~paper, ["foreground_score", "accuracy"]] = [0.7, 0.1]
    text = salience_caption(results)
    assert "by the paper objective Clean +0.050 and +20.0 points, AT-PGD +0.000 and +0.0 points" in text
    assert "by the balanced objective Clean +0.100 and +0.0 points" in text
    assert "without attack, 0.600" in text and "renewed" not in text
    assert "below 0.5 (weight 0, paper objective): Clean 7 of 50; AT-PGD 7 of 50;" in text


def test_of_a_single_salience_weight_no_change_is_told(results: pd.DataFrame) -> None:
    text = salience_caption(results[(results["axis"] != "salience_weight") | (results["value"] == 0)])
    assert "Change of" not in text and "without attack, 0.600. Images whose foreground score falls" in text


def test_a_single_image_is_no_images(results: pd.DataFrame) -> None:
    alone = results.assign(n=1)
    examples = small_examples()
    examples["labels"] = examples["labels"][:1]
    for name in ("original", "foreground_noise", "background_noise"):
        examples[f"{name}_predicted"] = examples[f"{name}_predicted"][:1]
    examples["dual_predicted"] = examples["dual_predicted"][:, :1]
    texts = {
        "1 image a point;": accuracy_caption(alone, "L2"),
        "mean of 1 test image with": gradient_caption(alone),
        "the same 1 image in every cell": transfer_caption(alone, "L2"),
        "share of 1 image classified": smoothing_caption(alone, Certificate(0.25, 0.001, 1000)),
        "1 test image; the log density": dual_examples_caption(examples),
        "1 test image, with": noise_examples_caption(examples),
    }
    assert [part for part, text in texts.items() if part not in text or "1 images" in text] == []


def test_a_salience_gradient_used_for_several_steps_is_told(results: pd.DataFrame) -> None:
    results.loc[results["salience_weight"] > 0, "salience_every"] = 4
    assert "The gradient of the foreground score is renewed in every 4 steps." in salience_caption(results)
    assert "renewed" not in accuracy_caption(results, "L2")


def test_examples_captions_count_wrong_predictions_and_mean_scores() -> None:
    text = dual_examples_caption(small_examples())
    assert "originals: 0 of 3, 0.60; weight 0: 1 of 3, 0.25; weight 10: 3 of 3, 0.25" in text
    assert "made on AT-PGD with eps_f = 2, eps_b = 20 (L2)" in text
    assert "of the same budget, eps = 20 (L2), made on AT-PGD" in noise_examples_caption(small_examples())


def test_the_accuracy_table_has_every_point_with_the_budget_spent(results: pd.DataFrame) -> None:
    table = accuracy_table(results, "L2")
    assert len(table) == 9
    point = table[(table["attack"] == "dual over eps_b") & (table["eps_b"] == 10)].iloc[0]
    assert np.isclose(point["eps_b spent"], 10 / 7) and point["AT-PGD"] == "40.0 % [35.0, 45.0]"
    assert point["n"] == "50" and point["steps"] == 20


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


def test_gradients_tell_the_share_inside_the_foreground(results: pd.DataFrame) -> None:
    table = gradient_table(results)
    assert list(table["classifier"])[0] == "Clean" and len(table) == 5
    row = table.iloc[0]
    assert row["energy inside the foreground"] == "40.0 % [37.0, 43.0]" and row["n"] == 48
    assert row["foreground's share of the area"] == "34.4 %" and row["images without a gradient"] == 2
    assert "AT-Dual (L2) 40.0 % [37.0, 43.0]" in gradient_caption(results)


def test_a_classifier_without_any_gradient_has_a_dash(results: pd.DataFrame) -> None:
    own = chosen(results, axis="gradient", defence="clean")
    results.loc[own, ["gradient_share", "gradient_enrichment"]] = np.nan
    row = gradient_table(results).iloc[0]
    assert row["energy inside the foreground"] == row["energy over area"] == "–"


def test_transfer_names_the_pair_in_which_it_is_strongest(results: pd.DataFrame) -> None:
    pair = chosen(results, axis="transfer", norm="L2", attack="dual", source="clean", defence="at_pgd")
    results.loc[pair & (results["trained_norm"] == "Linf"), "accuracy"] = 0.31
    text = transfer_caption(results, "L2")
    assert "dual (eps_f = 2, eps_b = 20 (L2)): AT-PGD (L-infinity) 31.0 % on those of Clean, 20.0 %" in text
    shown = transfer_shown(results, "L2")
    assert len(shown) == 2 * 5 and "tried on AT-PGD (L-infinity)" in shown.columns


def test_smoothing_tells_the_radius_that_nothing_exceeds(results: pd.DataFrame) -> None:
    text = smoothing_caption(results, Certificate(0.25, 0.001, 1000))
    assert "= 0.616, whatever the classifier" in text and "1000 noisy copies" in text
    assert "PGD with eps = 4 (L-infinity) 50.0 %" in text
    table = smoothing_table(results)
    assert list(table["smoothed classifier"])[:2] == ["certified at radius 0", "certified at radius 0.25"]
    assert len(table) == 3 + 4


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
