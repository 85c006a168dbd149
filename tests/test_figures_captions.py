"""Captions and tables beside the figures: what they say follows from the results' rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dualperturb.errors import UserError
from dualperturb.evaluation.tables import over_trainings as results_over_trainings
from dualperturb.figures.accuracy import accuracy_caption, accuracy_rows, accuracy_table
from dualperturb.figures.dual_examples import dual_examples_caption
from dualperturb.figures.gradients import gradient_caption, gradient_table
from dualperturb.figures.noise_examples import noise_examples_caption
from dualperturb.figures.salience import salience_caption
from dualperturb.figures.smoothing import smoothing_caption, smoothing_table
from dualperturb.figures.texts import bound_note
from dualperturb.figures.transfer import transfer_caption, transfer_shown
from tests.small_tables import CERTIFICATE, small_examples, small_results, small_trainings, under_a_bound


@pytest.fixture
def results() -> pd.DataFrame:
    return small_results()


def chosen(results: pd.DataFrame, **where: object) -> pd.Series:
    return pd.Series(np.logical_and.reduce([results[name] == value for name, value in where.items()]))


def test_the_accuracy_caption_tells_the_sweeps_and_leaves_judging_to_the_claims(
    results: pd.DataFrame,
) -> None:
    text = accuracy_caption(results, "L2", ("L2",))
    assert "eps_b = 20;" in text and "eps_f = 2;" in text and "50 images a point" in text
    assert "JSMA" not in text
    assert text.endswith("bands are 95 % Wilson intervals.")


def test_jsma_is_told_where_it_is_drawn(results: pd.DataFrame) -> None:
    text = accuracy_caption(results, "Linf", ("L2",), with_jsma=True)
    left = "Clean 10.0 % [5.0, 15.0], AT-PGD 40.0 % [35.0, 45.0], AT-Dual 70.0 % [65.0, 75.0]."
    assert text.endswith(f"50 images a point; accuracy at 10 %: {left}")


def test_of_several_trainings_captions_tell_the_range() -> None:
    means, over = results_over_trainings(small_trainings()), " over 3 trainings"
    assert f"Clean 11.0 % [5.0, 22.6], 7.0 to 16.0{over}" in accuracy_caption(means, "Linf", ("L2",), True)
    transferred = transfer_caption(means, "L2")
    assert f"those of AT-Dual (L2) 61.0 % [47.2, 73.3], 57.0 to 66.0{over}, on its own 21.0 %" in transferred
    assert f"eps = 4 (L-infinity) 51.0 % [37.6, 64.3], 47.0 to 56.0{over};" in smoothing_caption(
        means, CERTIFICATE
    )


def test_of_several_norms_of_training_each_is_told(results: pd.DataFrame) -> None:
    text = accuracy_caption(results, "L2", ("L2", "Linf"))
    assert "(adversarial training with L2 and L-infinity, from above) under attacks in the L2 norm" in text
    table = accuracy_table(results, "L2", ("L2", "Linf"))
    assert len(table) == 2 * 9 and list(table["trained with"].unique()) == ["L2", "L-infinity"]
    across = table[table["trained with"] == "L-infinity"]
    assert set(across["AT-PGD"]) == {"35.0 % [30.0, 40.0]"} and set(across["Clean"]) == {"10.0 % [5.0, 15.0]"}
    rows = accuracy_rows(results, "L2", ("L2", "Linf"), with_jsma=True)
    assert len(rows) == 5 * (9 + 3) and not rows.index.has_duplicates


def test_salience_caption_tells_the_change_of_each_defence(results: pd.DataFrame) -> None:
    last = chosen(results, axis="salience_weight", value=10.0, defence="clean")
    own = last & (results["loss"] == "cross_entropy")
    results.loc[own, ["foreground_score", "accuracy"]] = [0.65, 0.3]
    results.loc[last & ~own, ["foreground_score", "accuracy"]] = [0.7, 0.1]
    text = salience_caption(results)
    assert "with cross-entropy Clean +0.050 and +20.0 points, AT-PGD +0.000 and +0.0 points" in text
    assert "with DLR Clean +0.100 and +0.0 points" in text
    assert "added to cross-entropy (a) or to DLR (b): " in text
    assert "without attack, 0.600" in text and "renewed" not in text


def test_of_a_single_salience_weight_no_change_is_told(results: pd.DataFrame) -> None:
    text = salience_caption(results[(results["axis"] != "salience_weight") | (results["value"] == 0)])
    assert "Change of" not in text and "without attack, 0.600. The dotted line" in text


def test_a_single_image_is_no_images(results: pd.DataFrame) -> None:
    alone = results.assign(n=1)
    dual, noise = small_examples().values()
    for arrays in (dual, noise):
        for name in ("labels", *(name for name in arrays if name.endswith(("_predicted", "_score")))):
            arrays[name] = arrays[name][..., :1]
    texts = {
        "1 image a point;": accuracy_caption(alone, "L2", ("L2",)),
        "mean of 1 test image with": gradient_caption(alone),
        "the same 1 image in every cell": transfer_caption(alone, "L2"),
        "share of 1 image classified": smoothing_caption(alone, CERTIFICATE),
        "1 test image; the log density": dual_examples_caption(dual),
        "1 test image, with": noise_examples_caption(noise),
    }
    assert [part for part, text in texts.items() if part not in text or "1 images" in text] == []


def test_a_salience_gradient_used_for_several_steps_is_told(results: pd.DataFrame) -> None:
    results.loc[results["salience_weight"] > 0, "salience_every"] = 4
    assert "The gradient of the foreground score is renewed in every 4 steps." in salience_caption(results)
    assert "renewed" not in accuracy_caption(results, "L2", ("L2",))


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        ("clean", "that of the original image"),
        ("clean-0.05", "that of the original image less 0.05"),
        ("clean+0.05", "that of the original image plus 0.05"),
        (0.9, "0.9"),
        (1.0, "1"),
    ],
)
def test_a_bound_on_the_dual_sweeps_is_told_in_words(
    results: pd.DataFrame, bound: str | float, words: str
) -> None:
    told = f"only if it keeps the foreground score S at or above {words}: there, accuracy is unsuspicious"
    for trained in (("L2",), ("L2", "Linf")):
        assert told in accuracy_caption(under_a_bound(results, bound), "L2", trained)
        assert "foreground score" not in accuracy_caption(results, "L2", trained)
    assert "at or above" not in salience_caption(under_a_bound(results, bound))


def test_a_bound_on_transferred_examples_is_told_in_words(results: pd.DataFrame) -> None:
    told = "counts only if it keeps the foreground score S at or above that of the original image."
    assert told in transfer_caption(under_a_bound(results, "clean"), "L2")
    assert "foreground score" not in transfer_caption(results, "L2")


def test_of_two_bounds_none_is_told(results: pd.DataFrame) -> None:
    both = pd.concat([under_a_bound(results, "clean"), under_a_bound(results, 0.9)])
    with pytest.raises(UserError, match="^results: expected one min_foreground_score, found clean, 0.9$"):
        bound_note(both)


def test_examples_captions_count_wrong_predictions_and_mean_scores() -> None:
    dual, noise = small_examples().values()
    text = dual_examples_caption(dual)
    assert "originals: 0 of 3, mean FS 0.60; salience weight 0: 1 (0) of 3, mean FS 0.25;" in text
    assert (
        "salience weight 10: 3 (0) of 3, mean FS 0.25; FS at least clean: 3 (2) of 3, mean FS 0.58." in text
    )
    assert "made on AT-PGD (trained with L-infinity) with eps_f = 4, eps_b = 20 (L-infinity)" in text
    assert "a foreground score FS of at least that of the original image." in text
    text = noise_examples_caption(noise)
    assert "of the same budget, eps = 40 (L-infinity), made on AT-PGD (trained with L-infinity) in" in text
    assert "Wrong predictions: original: 0 of 3, mean FS 0.60; background noise: 0 of 3," in text


def test_the_classifier_that_is_fooled_and_the_bound_are_told_as_they_are() -> None:
    dual = small_examples()["dual"] | {"defence": np.array("clean"), "trained_norm": np.array("none")}
    text = dual_examples_caption(dual | {"bound": np.array("clean-0.05")})
    assert "made on Clean with" in text and "FS of at least that of the original image less 0.05." in text
    assert "FS of at least 0.9." in dual_examples_caption(dual | {"bound": np.array("0.9")})


def test_the_accuracy_table_has_every_point_with_the_budget_spent(results: pd.DataFrame) -> None:
    table = accuracy_table(results, "L2", ("L2",))
    assert len(table) == 9
    point = table[(table["attack"] == "dual over eps_b") & (table["eps_b"] == 10)].iloc[0]
    assert np.isclose(point["eps_b spent"], 10 / 7) and point["AT-PGD"] == "40.0 % [35.0, 45.0]"
    assert point["n"] == "50" and point["steps"] == 20


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
    told = "AT-PGD (L-infinity) on those of Clean 31.0 % [30.0, 40.0], on its own 20.0 % [30.0, 40.0]."
    assert f"dual (eps_f = 2, eps_b = 20 (L2)): {told}" in text
    shown = transfer_shown(results, "L2")
    assert len(shown) == 2 * 5 and "tried on AT-PGD (L-infinity)" in shown.columns


def test_smoothing_tells_the_radius_that_nothing_exceeds(results: pd.DataFrame) -> None:
    text = smoothing_caption(results, CERTIFICATE)
    bounds = "Smoothing 0.616, Smoothing-Dual 0.493 (above it and so not shown: 0.5). (b)"
    assert f"(1/1000)), with the lower one of two sigmas: {bounds}" in text
    assert "1000 noisy copies an image)" in text and "class by 400 noisy copies: PGD" in text
    assert "PGD with eps = 4 (L-infinity) 50.0 % [45.0, 55.0];" in text


def test_smoothing_tells_both_noises_and_both_budgets(results: pd.DataFrame) -> None:
    text = smoothing_caption(results, CERTIFICATE)
    assert (
        "Smoothing: noise of sigma = 0.25; Smoothing-Dual: sigma_f = 0.2 in the foreground, sigma_b = 3"
        in text
    )
    smoothing, dual = "Smoothing 47.5 % [45.0, 55.0]", "Smoothing-Dual 25.0 % [45.0, 55.0]"
    ends = [f"{smoothing} at eps_f = 2, eps_b = 2 (L2)", f"{dual} at eps_f = 2, eps_b = 20 (L2)"]
    assert f"Certified at the largest budgets shown: {'; '.join(ends)}. Out of reach" in text
    assert "and not shown: Smoothing, eps_b = 5, 20 (eps_f = 2). With noise" in text


def test_smoothing_without_budgets_out_of_reach_or_in_reach(results: pd.DataFrame) -> None:
    none, beyond = results.copy(), results["axis"] == "eps_b_out_of_reach"
    assert "Out of reach" not in smoothing_caption(results[~beyond], CERTIFICATE)
    none.loc[none["axis"] == "certified_eps_b", "axis"] = "eps_b_out_of_reach"
    text = smoothing_caption(none, CERTIFICATE)
    assert "largest budgets shown" not in text
    assert "eps_b = 0, 2, 5, 20; Smoothing-Dual, eps_b = 0, 2, 5, 20 (eps_f = 2)" in text


def test_smoothing_by_region_tells_for_which_masks_it_is_sound(results: pd.DataFrame) -> None:
    fixed = smoothing_caption(results, CERTIFICATE)
    given = smoothing_caption(results, replace(CERTIFICATE, mask="given"))
    sound = "sound only for masks that no perturbation can move, here "
    assert sound + "a disc in the middle, the same for all images" in fixed
    assert sound + "those that come with the images. The noise shows their outlines" in given


def test_the_table_of_smoothing_names_classifier_and_outcome(results: pd.DataFrame) -> None:
    table = smoothing_table(results)
    assert len(table) == 3 + 2 + 2 * 4 + 4
    told = list(zip(table["classifier"], table["outcome"], strict=True))
    assert told[0] == ("Smoothing", "certified at radius 0")
    assert told.index(("Smoothing-Dual", "certified at eps_f = 2, eps_b = 20 (L2)")) == 12
    beyond = table[table["accuracy"] == "out of reach"]
    assert list(beyond["classifier"]) == ["Smoothing"] * 2
    assert list(beyond["outcome"]) == [f"certified at eps_f = 2, eps_b = {eps_b} (L2)" for eps_b in (5, 20)]
    assert told[-1] == ("Smoothing", "under dual, eps_f = 4, eps_b = 20 (L-infinity)")
