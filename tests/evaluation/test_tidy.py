from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest

from dualperturb.errors import UserError
from dualperturb.evaluation.tables import RESULT_COLUMNS
from dualperturb.evaluation.tidy import ESTIMATE, MEASURES, TIDY_COLUMNS, tidy, wide
from tests.small_tables import small_results, under_a_bound


@pytest.fixture
def results() -> pd.DataFrame:
    return small_results().assign(training=0)


def test_a_row_is_an_estimate_with_its_keys(results: pd.DataFrame) -> None:
    estimates = tidy(results)
    assert set(estimates.columns) == set(TIDY_COLUMNS) and list(estimates.columns[-5:]) == list(ESTIMATE)
    assert set(estimates["measure"]) == set(MEASURES)
    assert estimates["value"].notna().all() and estimates["n"].notna().all()
    assert len(estimates) == results[list(MEASURES)].notna().to_numpy().sum()
    first = estimates.iloc[:2]
    assert first["measure"].tolist() == ["accuracy", "foreground_score"]
    assert first["value"].tolist() == results.loc[0, ["accuracy", "foreground_score"]].tolist()
    assert first["low"].tolist() == results.loc[0, ["accuracy_low", "foreground_score_low"]].tolist()
    assert set(first["at"]) == {results.loc[0, "value"]}


def test_the_wide_form_is_what_the_tidy_one_was_made_of(results: pd.DataFrame) -> None:
    file = io.StringIO(tidy(results).to_csv(index=False))
    found = wide(pd.read_csv(file))
    assert set(found.columns) == set(RESULT_COLUMNS) == set(results.columns)
    for column in results.columns:
        one, other = results[column], found[column]
        assert ((one == other) | (one.isna() & other.isna())).all(), column


def test_a_bound_is_a_key_as_text_or_as_a_number(results: pd.DataFrame) -> None:
    bounds = {"shapes6": "clean-0.05", "folder": 0.9}
    both = pd.concat(
        [under_a_bound(results.assign(dataset=name), bound) for name, bound in bounds.items()],
        ignore_index=True,
    )
    found = wide(pd.read_csv(io.StringIO(tidy(both).to_csv(index=False))))
    bounded = both["min_foreground_score"].notna()
    assert 0 < bounded.sum() < len(found) == len(both)
    assert found["min_foreground_score"].notna().sum() == bounded.sum()
    for name, bound in bounds.items():
        own = found.loc[found["dataset"] == name, "min_foreground_score"]
        assert set(own.dropna()) == {str(bound)}


def test_points_that_only_an_empty_key_tells_apart_stay_apart() -> None:
    keys = {"dataset": "shapes6", "axis": ["eps", "eps", "share"], "at": [0.0, np.nan, 0.0]}
    estimates = pd.DataFrame(
        {**keys, "judge": [None, "a", None], "measure": "accuracy", "value": [0.1, 0.2, 0.3]}
    ).assign(low=0.0, high=1.0, n=5)
    found = wide(estimates)
    assert found["accuracy"].tolist() == [0.1, 0.2, 0.3] and found["foreground_score"].isna().all()


def test_a_point_measured_twice_is_no_table(results: pd.DataFrame) -> None:
    estimates = tidy(results)
    with pytest.raises(UserError, match="^results: found an estimate twice; accepted: one"):
        wide(pd.concat([estimates, estimates.head(1)]))
