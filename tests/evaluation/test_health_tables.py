from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dualperturb.errors import UserError
from dualperturb.evaluation.health.lines import difference_line, within_noise
from dualperturb.evaluation.health.tables import sweep_line, transfer_line
from tests.evaluation.health_inputs import swept, transfers


def test_a_single_image_or_less_than_a_point_is_within_noise() -> None:
    allowed = [(0, 100), (1, 100), (1, 20), (2, 300), (9, 1000), (4, 500), (-3, 10)]
    assert all(within_noise(images, count) for images, count in allowed)
    assert not any(within_noise(images, count) for images, count in [(2, 100), (3, 300), (10, 1000), (2, 20)])


def test_accuracy_that_rises_with_the_budget_is_caught() -> None:
    falling = sweep_line(swept(b0=1.0, b1=0.5, b3=0.5, b2=0.5))
    assert falling.passed and falling.figures == "Accuracy rises at 0 of 3 larger budgets."
    assert sweep_line(swept(b0=0.9, b1=0.5, b2=0.51)).passed
    rising = sweep_line(swept(b2=0.52, b1=0.5, b0=0.9))
    assert not rising.passed
    assert rising.figures == "Accuracy rises at 1 of 2 larger budgets, most at eps 2: by 2.0 points."
    assert not sweep_line(swept(b0=0.9, b1=0.5, b2=0.51, b3=0.52)).passed, "a rise little by little"
    assert sweep_line(swept(b0=0.9, b1=0.5, b2=0.506, n=500)).passed
    assert not sweep_line(swept(b0=0.9, b1=0.5, b2=0.51, n=500)).passed


def test_curves_are_judged_one_by_one_and_the_salience_weight_is_no_budget() -> None:
    other = swept("eps_b", b0=0.9, b5=0.6)
    both = pd.concat([swept(b0=0.3, b1=0.2), other, swept("salience_weight", b0=0.1, b9=0.9)])
    line = sweep_line(both)
    assert line.passed and line.figures == "Accuracy rises at 0 of 2 larger budgets."
    norms = pd.concat([swept(b0=0.3, b1=0.2).assign(norm="L2"), swept(b0=0.9, b1=0.8).assign(norm="Linf")])
    assert sweep_line(norms).passed


def test_a_sweep_that_falls_by_construction_is_not_checked() -> None:
    """Without a salience term the points are attacked together: such a line could not fail."""
    nested = swept(b0=0.3, b1=0.9, weight=0.0)
    assert sweep_line(nested) is None
    line = sweep_line(pd.concat([nested, swept("eps_f", b0=0.9, b1=0.5)]))
    assert line is not None and line.passed and line.figures == "Accuracy rises at 0 of 1 larger budgets."


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(
        UserError, match="^sweep: column n is absent; needed are axis, value, accuracy, n, salience_weight$"
    ):
        sweep_line(swept(b0=1.0).drop(columns="n"))
    with pytest.raises(UserError, match="^sweep: expected at least two budgets"):
        sweep_line(swept(b0=1.0))
    with pytest.raises(UserError, match="^sweep: found two rows at one budget"):
        sweep_line(pd.concat([swept(b0=1.0, b1=0.5)] * 2))
    correct = np.ones(4, dtype=bool)
    with pytest.raises(UserError, match="^transfer: column source is absent"):
        transfer_line(pd.DataFrame({"target": []}), correct)
    with pytest.raises(UserError, match="one row a source$"):
        transfer_line(pd.concat([transfers(other=0.5)] * 2), correct)
    with pytest.raises(UserError, match="^transfer: expected a source other"):
        transfer_line(transfers(own=0.5), correct)


def test_transferred_examples_are_compared_with_those_of_the_same_table() -> None:
    correct = np.array([True, False, False, False])
    assert transfer_line(transfers(own=0.1, other=0.2), correct).passed
    assert transfer_line(transfers(other=0.25), correct).passed
    assert not transfer_line(transfers(other=0.24), correct).passed
    assert transfer_line(transfers(own=0.0, other=0.0), correct).figures.endswith("tells nothing.")
    with_counts = transfers(own=0.1, other=0.2).assign(n=[50, 40])
    assert [transfer_line(table, correct).n for table in (with_counts, transfers(other=0.2))] == [40, 4]


def test_a_weaker_attack_must_not_leave_less() -> None:
    none, one, all_ = np.zeros(4, dtype=bool), np.array([True, False, False, False]), np.ones(4, dtype=bool)
    assert difference_line("noise", "20 steps", one, "noise", all_).passed
    worse = difference_line("noise", "20 steps", one, "noise", none)
    assert not worse.passed
    assert worse.figures == (
        "25.0 % stand against 20 steps, 0.0 % against noise; 1 of 4 images are fooled by noise alone."
    )
    for same in (none, all_):
        assert difference_line("noise", "20 steps", same, "noise", same).figures.endswith("tells nothing.")
    assert difference_line("noise", "20 steps", one, "noise", one).figures.endswith("25.0 % against noise.")
