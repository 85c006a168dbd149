from __future__ import annotations

import pandas as pd
import pytest

from dualperturb.evaluation.tables import over_trainings
from dualperturb.figures import chosen_panels
from dualperturb.figures.tradeoff import tradeoff, tradeoff_caption, tradeoff_table
from tests.small_tables import FIGURES, Look, small_results, small_trainings

NAMED = "whole_10"


@pytest.fixture
def results() -> pd.DataFrame:
    """With a named defence, which is AT-Dual but for its accuracy under Dual-AutoAttack."""
    found = small_results()
    named = found[found["defence"] == "at_dual"].assign(defence=NAMED)
    named.loc[named["attack"] == "dual_autoattack", ["accuracy", "accuracy_low", "accuracy_high"]] = (
        0.25,
        0.2,
        0.35,
    )
    return pd.concat([found, named], ignore_index=True)


def test_each_defence_is_a_marker_with_both_intervals(results: pd.DataFrame) -> None:
    look = Look(palette=Look().palette | {NAMED: "#000000"})
    (axes,) = tradeoff(results, "L2", look).axes
    assert [bars.get_label() for bars in axes.containers] == ["Clean", "AT-PGD", "AT-Dual", NAMED]
    marker, _, (across, up) = axes.containers[-1]
    x, y = (float(values[0]) for values in marker.get_data())
    clean = results[(results["defence"] == NAMED) & (results["axis"] == "eps") & (results["value"] == 0)]
    own = clean[(clean["norm"] == "L2") & (clean["trained_norm"] == "L2")].iloc[0]
    assert (x, y) == (pytest.approx(100 * own["accuracy"]), pytest.approx(25))
    ends = across.get_segments()[0][:, 0]
    assert ends == pytest.approx([100 * own["accuracy_low"], 100 * own["accuracy_high"]])
    assert up.get_segments()[0][:, 1] == pytest.approx([20, 35])


def test_both_axes_are_whole_and_no_marker_hides_another(results: pd.DataFrame) -> None:
    look = Look(palette=Look().palette | {NAMED: "#000000"})
    (axes,) = tradeoff(results, "L2", look).axes
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 100), (0, 100))
    assert {bars[0].get_markerfacecolor() for bars in axes.containers} == {"none"}


def test_the_table_has_both_accuracies(results: pd.DataFrame) -> None:
    table = tradeoff_table(results, "L2").set_index("classifier")
    assert list(table.index) == ["Clean", "AT-PGD", "AT-Dual", NAMED]
    assert table.loc[NAMED, "Dual-AutoAttack"].startswith("25.0 % [20.0, 35.0] of ")
    assert table.loc[NAMED, "clean images"] == table.loc["AT-Dual", "clean images"]


def test_the_caption_tells_the_budgets_and_both_numbers_of_images(results: pd.DataFrame) -> None:
    results.loc[results["attack"] == "dual_autoattack", "n"] = 40
    text = tradeoff_caption(results, "Linf")
    assert "with eps_f = 4, eps_b = 20 (L-infinity) over" in text
    assert text.endswith("95 % Wilson intervals; 50 clean images, 40 under attack.")


def test_several_trainings_have_their_range() -> None:
    means = over_trainings(small_trainings())
    assert tradeoff_caption(means, "L2").endswith("50 under attack, means over 3 trainings.")
    row = tradeoff_table(means, "L2").set_index("classifier").loc["AT-Dual"]
    assert row["clean images"] == row["Dual-AutoAttack"]
    assert row["clean images"].endswith("of 50, 67.0 to 76.0 over 3 trainings")


def test_it_is_drawn_in_each_norm_in_which_it_was_measured(results: pd.DataFrame) -> None:
    lacks = results[(results["attack"] != "dual_autoattack") | (results["norm"] == "L2")]
    for table, norms in ((results, ["L2", "Linf"]), (lacks, ["L2"])):
        stems = [panel.stem for panel in chosen_panels(table, FIGURES, ("tradeoff",))]
        assert stems == [f"tradeoff_{norm}" for norm in norms]
