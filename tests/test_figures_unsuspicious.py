from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dualperturb.figures.judged import control_score
from dualperturb.figures.salience import salience_caption, salience_panels
from dualperturb.figures.unsuspicious import bound_table, unsuspicious_caption, unsuspicious_panels
from tests.small_tables import Look, small_results


@pytest.fixture
def results() -> pd.DataFrame:
    return small_results()


def test_a_plot_an_attack_and_a_line_a_classifier_rise_with_the_bound(results: pd.DataFrame) -> None:
    figure = unsuspicious_panels(results, "L2", Look())
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["(a) PGD", "(b) dual", "(c) dual, paper's sum", "(d) dual, constrained"]
    for axes in figure.axes:
        assert [line.get_label() for line in axes.lines] == ["Clean", "AT-PGD", "AT-Dual"]
        for line in axes.lines:
            assert (np.diff(np.asarray(line.get_ydata())) > 0).all()
    assert figure.axes[0].lines[2].get_ydata()[0] == pytest.approx(70)


def test_an_attack_that_was_not_run_has_no_plot(results: pd.DataFrame) -> None:
    less = results[results["attack"] != "sum"]
    assert len(unsuspicious_panels(less, "L2", Look()).axes) == 3
    assert "plain, constrained (" in unsuspicious_caption(less, "L2")


def test_the_caption_tells_the_model_the_budgets_and_what_is_left(results: pd.DataFrame) -> None:
    text = unsuspicious_caption(results, "Linf")
    assert "under the model builtin" in text and "eps_f = 4, eps_b = 20 (L-infinity)" in text
    assert "by the paper's sum (weight 1), constrained" in text and "50 images a point" in text
    assert text.endswith("AT-Dual 97.0 % [92.0, 102.0].")


def test_the_table_has_a_row_an_attack_and_classifier(results: pd.DataFrame) -> None:
    table = bound_table(results, "L2")
    assert len(table) == 6 * 3 and list(table.columns[2:]) == [
        *("S ≥ 0", "S ≥ 0.5", "S ≥ 0.7", "S ≥ 0.9", "S ≥ 1", "n"),
    ]
    assert table.iloc[-1].tolist()[:3] == ["all of these", "AT-Dual", "70.0 % [65.0, 75.0]"]


def test_the_control_is_a_line_of_fig_3_where_it_judged(results: pd.DataFrame) -> None:
    results.loc[results["judge"] == "center", "foreground_score"] = 0.91
    assert control_score(results, "L2") == 0.91
    assert "control's, 0.910 on 50 of them" in salience_caption(results)
    labels = [line.get_label() for line in salience_panels(results, Look()).axes[0].lines]
    assert labels[-2:] == ["clean images", "control"]
    less = results[results["axis"] != "unsuspicious"]
    assert control_score(less, "L2") is None and "control" not in salience_caption(less)
    labels = [line.get_label() for line in salience_panels(less, Look()).axes[0].lines]
    assert labels[-1] == "clean images"


def test_fig_3_counts_the_images_that_fall_below_one_half(results: pd.DataFrame) -> None:
    budgets, counts = "eps_f = 2, eps_b = 20 (L2)", "Clean 7 of 50, AT-PGD 7 of 50, AT-Dual 7 of 50"
    text = f"falls below 0.5 ({budgets}): at weight 0 {counts}; at weight 1 {counts}."
    assert text in salience_caption(results)
