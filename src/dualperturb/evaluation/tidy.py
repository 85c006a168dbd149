"""The tidy form of the results, a row per estimate, as reports/results.csv has it, and the wide form.

A tidy row tells what was measured by its keys (data set, classifier, attack, budgets and so on; `at` is the
place on `axis`) and by `measure`; then come `value`, the ends of its 95 % interval, `low` and `high`, and the
images behind it, `n`. A wide row is a point: every measure is a column, its interval NAME_low and NAME_high.
"""

from __future__ import annotations

import pandas as pd

from dualperturb.errors import UserError
from dualperturb.evaluation.tables import RESULT_COLUMNS

_WITH_INTERVAL = (
    *("accuracy", "foreground_score", "score_change", "ssim_distance", "ssim_distance_foreground"),
    *("gradient_share", "gradient_enrichment"),
)
MEASURES = (*_WITH_INTERVAL, "crossed_half", "gradient_foreground_fraction", "gradient_zero_gradients")
ESTIMATE = ("measure", "value", "low", "high", "n")
_ENDS = ("low", "high")
_MEASURED = {*MEASURES, *(f"{measure}_{end}" for measure in _WITH_INTERVAL for end in _ENDS), "n"}
_KEYS = [name for name in RESULT_COLUMNS if name not in _MEASURED]
TIDY_COLUMNS = (*("at" if name == "value" else name for name in _KEYS), *ESTIMATE)


def tidy(results: pd.DataFrame) -> pd.DataFrame:
    """Wide -> tidy: the estimates of a point one after the other, the points in their order."""
    keys = results[[name for name in results.columns if name not in _MEASURED]]
    parts = []
    for measure in MEASURES:
        rows = results[results[measure].notna()]
        ends = {end: rows.get(f"{measure}_{end}", float("nan")) for end in _ENDS}
        estimate = {"measure": measure, "value": rows[measure], **ends, "n": rows["n"]}
        parts.append(keys.loc[rows.index].rename(columns={"value": "at"}).assign(**estimate))
    return pd.concat(parts).sort_index(kind="stable").reset_index(drop=True)


def wide(estimates: pd.DataFrame) -> pd.DataFrame:
    """Tidy -> wide: a row per point. Raises UserError where a measure of a point stands twice."""
    keys = [name for name in estimates.columns if name not in ESTIMATE]
    if estimates.duplicated([*keys, "measure"]).any():
        raise UserError("results: found an estimate twice; accepted: one of each measure at a point")
    point = estimates.groupby(keys, dropna=False, sort=False).ngroup()
    first = estimates.loc[~point.duplicated(), [*keys, "n"]].reset_index(drop=True)
    columns = {}
    for measure in MEASURES:
        rows = estimates[estimates["measure"] == measure]
        rows = rows.set_axis(point[rows.index])
        columns[measure] = rows["value"]
        if measure in _WITH_INTERVAL:
            columns |= {f"{measure}_{end}": rows[end] for end in _ENDS}
    return pd.concat([first.rename(columns={"at": "value"}), pd.DataFrame(columns)], axis=1)
