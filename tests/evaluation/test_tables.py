from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dualperturb.errors import UserError
from dualperturb.evaluation.measuring.intervals import wilson
from dualperturb.evaluation.tables import RESULT_COLUMNS, curves, metrics, over_trainings
from dualperturb.files import read_csv
from tests.small_tables import small_results, small_trainings

SPREAD = (
    *("accuracy", "foreground_score", "score_change", "ssim_distance", "ssim_distance_foreground"),
    *("gradient_share", "gradient_enrichment"),
)
RANGE = {"trainings", *(f"{name}_{end}" for name in SPREAD for end in ("least", "most"))}


def rows(
    dataset: str,
    defence: str,
    axis: str,
    accuracies: dict[float, float],
    trained: str = "none",
    norm: str = "L2",
    attack: str | None = None,
) -> list[dict[str, object]]:
    return [
        {
            **{"dataset": dataset, "defence": defence, "trained_norm": trained, "norm": norm, "axis": axis},
            **{"attack": attack or ("pgd" if axis == "eps" else "dual"), "value": value},
            **{"accuracy": accuracy, "accuracy_low": accuracy - 0.1, "accuracy_high": accuracy + 0.1},
            "foreground_score": accuracy / 2,
        }
        for value, accuracy in accuracies.items()
    ]


@pytest.fixture
def results() -> pd.DataFrame:
    """at_dual first: the order of the columns must not come from the order of the rows."""
    made: list[dict[str, object]] = []
    for place, defence in enumerate(("at_dual", "clean", "at_pgd")):
        less = place / 100
        made += rows("shapes6", defence, "eps", {0.0: 0.98765 - less, 1.0: 0.8 - less, 3.0: 0.4 - less})
        made += rows("shapes6", defence, "eps_b", {0.0: 0.7 - less, 18.0: 0.2 - less, 25.0: 0.1 - less})
        made += rows("shapes6", defence, "eps_f", {20.0: 0.5})
    made += rows("folder", "clean", "eps", {0.0: 0.5, 2.0: 0.25}) + rows(
        "folder", "clean", "eps_b", {20.0: 0.125}
    )
    # None of these is a classifier attacked in the norm that it was trained with, or a sweep of Fig. 4.
    made += rows("shapes6", "at_pgd", "eps", {0.0: 0.0}, trained="Linf") + rows(
        "shapes6", "clean", "share", {0.1: 0.0}, norm="L0"
    )
    made += rows("shapes6", "clean", "eps", {0.0: 0.0, 1.0: 0.0}, attack="cw")
    table = pd.DataFrame(made).assign(judge=None)
    curve = rows("shapes6", "at_dual", "bound", {0.0: 0.1, 0.9: 0.3}, attack="any")
    alone = rows("shapes6", "at_dual", "bound", {0.9: 0.9}, attack="constrained")
    judged = [
        row | {"judge": judge}
        for judge, share in (("builtin", 0.21234), ("contrast", 0.8), ("unseen", 0.4))
        for row in rows("shapes6", "at_dual", "unsuspicious", {0.0: share}, attack="any")
    ]
    own = pd.DataFrame([*curve, *alone]).assign(judge="builtin")
    # Another data set's own model is one of those that judge this one.
    other = pd.DataFrame(rows("folder", "clean", "bound", {0.9: 0.1}, attack="any")).assign(judge="contrast")
    return pd.concat([table, own, pd.DataFrame(judged), other], ignore_index=True)


def test_metrics_are_taken_at_the_nearest_budget_of_their_own_axis(results: pd.DataFrame) -> None:
    found = metrics(results, {"L2": (2.9, 20.0)})
    assert found["shapes6"]["L2"]["at_dual"] == {
        "clean": 0.9877,
        "pgd": 0.4,
        "dual": 0.2,
        "foreground_score": 0.1,
        **{"unsuspicious_clean": 0.2123, "unsuspicious_clean_low": 0.1123, "unsuspicious_clean_high": 0.3123},
        **{"unsuspicious_0.9": 0.3, "unsuspicious_0.9_low": 0.2, "unsuspicious_0.9_high": 0.4},
        **{"unsuspicious_unseen": 0.4, "unsuspicious_unseen_low": 0.3, "unsuspicious_unseen_high": 0.5},
    }
    assert found["shapes6"]["L2"]["at_pgd"]["dual"] == 0.18
    plain = {"clean": 0.5, "pgd": 0.25, "dual": 0.125, "foreground_score": 0.0625}
    high = {"unsuspicious_0.9": 0.1, "unsuspicious_0.9_low": 0.0, "unsuspicious_0.9_high": 0.2}
    assert found["folder"]["L2"] == {"clean": plain | high}
    assert metrics(results, {"L2": (1.2, 24.0)})["shapes6"]["L2"]["at_dual"]["pgd"] == 0.8
    assert metrics(results, {"L2": (1.2, 24.0)})["shapes6"]["L2"]["at_dual"]["dual"] == 0.1


def test_metrics_of_several_trainings_have_their_range() -> None:
    found = metrics(over_trainings(small_trainings()), {"L2": (2.0, 20.0), "Linf": (4.0, 20.0)})
    own = found["shapes6"]["L2"]["at_dual"]
    assert [own[f"dual{end}"] for end in ("", "_least", "_most")] == [0.71, 0.67, 0.76]
    assert [own[f"unsuspicious_clean{end}"] for end in ("", "_least", "_most")] == [0.71, 0.67, 0.76]
    assert own["unsuspicious_clean_low"] < 0.67 < 0.76 < own["unsuspicious_clean_high"]
    assert own["foreground_score_least"] == own["foreground_score_most"] == 0.6
    assert "dual_low" not in own


def test_of_two_budgets_as_near_the_one_listed_first_counts(results: pd.DataFrame) -> None:
    assert metrics(results, {"L2": (2.0, 20.0)})["shapes6"]["L2"]["at_dual"]["pgd"] == 0.8


def test_a_curve_has_the_axis_and_then_the_defences_in_the_papers_order(results: pd.DataFrame) -> None:
    table = curves(results[results["dataset"] == "shapes6"], "eps")
    assert list(table.columns) == ["eps", "clean", "at_pgd", "at_dual"]
    assert table["eps"].tolist() == [0.0, 1.0, 3.0]
    assert table["clean"].tolist() == [97.76, 79.0, 39.0]
    assert list(curves(results[results["dataset"] == "folder"], "eps_b").columns) == ["eps_b", "clean"]


def test_over_the_salience_weight_cross_entropy_counts() -> None:
    made = {
        loss: pd.DataFrame(rows("shapes6", "clean", "salience_weight", {0.0: 0.5, 1.0: accuracy}))
        for loss, accuracy in (("dlr", 0.1), ("cross_entropy", 0.7))
    }
    table = curves(pd.concat([part.assign(loss=name) for name, part in made.items()]), "salience_weight")
    assert table["clean"].tolist() == [50.0, 70.0]


def test_the_columns_asked_for_are_those_that_figures_and_report_know() -> None:
    """The table that they are tested with has these, and no other."""
    assert set(RESULT_COLUMNS) == set(over_trainings(small_trainings())) - RANGE | {"training"}


def test_one_training_stays_as_it_is() -> None:
    alone = small_results()
    alone.insert(3, "training", 7)
    pd.testing.assert_frame_equal(over_trainings(alone), small_results(), check_exact=True)


def test_several_trainings_are_their_mean_and_their_range() -> None:
    first, means = small_results(), over_trainings(small_trainings())
    said = [name for name in first if name not in ("accuracy", "accuracy_low", "accuracy_high")]
    pd.testing.assert_frame_equal(means[said], first[said], check_dtype=False)
    measured = first["accuracy"].notna()
    expected = first["accuracy"][measured]
    for name, shift in (("accuracy", 0.01), ("accuracy_least", -0.03), ("accuracy_most", 0.06)):
        assert (
            np.allclose(means.loc[measured, name], expected + shift)
            and means.loc[~measured, name].isna().all()
        )
    assert set(means["trainings"]) == {3}
    own = means[measured].iloc[0]
    assert (own["accuracy_low"], own["accuracy_high"]) == wilson(own["accuracy"] * own["n"], own["n"])
    assert means.loc[~measured, "accuracy_high"].isna().all()


def test_intervals_of_means_have_mean_ends_and_counts_are_whole() -> None:
    both = pd.DataFrame({"training": [0, 1], "axis": "gradient", "n": [7, 10], "accuracy": np.nan})
    both = both.assign(gradient_share=[0.5, 0.7], gradient_share_low=[0.4, 0.7], crossed_half=[1, 4])
    found = over_trainings(both.assign(source=None, accuracy_low=np.nan, accuracy_high=np.nan)).iloc[0]
    assert found["gradient_share"] == pytest.approx(0.6)
    assert found["gradient_share_low"] == pytest.approx(0.55)
    assert (found["gradient_share_least"], found["gradient_share_most"]) == (0.5, 0.7)
    assert (found["n"], found["crossed_half"]) == (8, 2) and np.isnan(found["accuracy_low"])


@pytest.mark.parametrize(
    ("seeds", "found"), [([0, 1], "2 rows of 2"), ([0, 1, 2, 2], "4 rows of 3"), ([0, 1, 1], "3 rows of 2")]
)
def test_a_point_without_one_row_of_each_training_is_one_line(seeds: list[int], found: str) -> None:
    first = small_results()
    own = first[(first["axis"] == "gradient") & (first["defence"] == "clean")]
    others = [first.drop(own.index).assign(training=seed) for seed in (0, 1, 2)]
    table = pd.concat([*others, *(own.assign(training=seed) for seed in seeds)])
    point = "dataset shapes6, defence clean, trained_norm none, axis gradient"
    expected = (
        f"results at {point}: found {found} trainings; accepted: one of each of the 3; make it anew with"
    )
    with pytest.raises(UserError, match=f"^{re.escape(expected)}"):
        over_trainings(table)


def test_a_table_is_read_back_to_the_last_digit(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame({"value": random.random(2000) * 10.0 ** random.integers(-9, 9, 2000)})
    table.to_csv(tmp_path / "table.csv", index=False)
    pd.testing.assert_frame_equal(read_csv(tmp_path / "table.csv"), table, check_exact=True)


def test_an_absent_or_empty_table_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match=r"cells\.csv: cannot be read as a table .*make it anew with",
    ):
        read_csv(tmp_path / "cells.csv")
    (tmp_path / "cells.csv").touch()
    with pytest.raises(UserError, match=r"cells\.csv: cannot be read as a table"):
        read_csv(tmp_path / "cells.csv")
