"""What is made of the cells' tables: all results in one table, metrics, curves for `dvc plots`."""

from __future__ import annotations

import pandas as pd

from dualperturb.params import DEFENCES


def metrics(results: pd.DataFrame, eps_f: float, eps_b: float) -> dict[str, dict[str, dict[str, float]]]:
    """The few numbers to compare experiments by: data set -> defence -> name -> value (fractions, 4 digits).

    clean: accuracy without attack; pgd and dual: at the budgets nearest to eps_f and {eps_f, eps_b} that were
    measured, the one listed first where two are as near; foreground_score: of the latter examples.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for (dataset, defence), rows in results.groupby(["dataset", "defence"], sort=False):
        pgd = rows[rows["axis"] == "eps"]
        dual = rows[rows["axis"] == "eps_b"]
        at_pgd, at_dual = _nearest(pgd, eps_f), _nearest(dual, eps_b)
        found.setdefault(str(dataset), {})[str(defence)] = {
            "clean": round(float(_nearest(pgd, 0.0)["accuracy"]), 4),
            "pgd": round(float(at_pgd["accuracy"]), 4),
            "dual": round(float(at_dual["accuracy"]), 4),
            "foreground_score": round(float(at_dual["foreground_score"]), 4),
        }
    return found


def curves(results: pd.DataFrame, axis: str) -> pd.DataFrame:
    """Adversarial accuracy in %, one row a value of the axis, one column a defence.

    Over the salience weight that of the paper's objective.
    """
    rows = results[results["axis"] == axis]
    if axis == "salience_weight":
        rows = rows[rows["objective"] == "paper"]
    wide = rows.pivot(index="value", columns="defence", values="accuracy") * 100
    wide = wide[[name for name in DEFENCES if name in wide.columns]].round(2)
    return wide.rename_axis(axis).rename_axis(None, axis="columns").reset_index()


def _nearest(rows: pd.DataFrame, value: float) -> pd.Series:
    assert len(rows), "no point on this axis"
    return rows.iloc[int((rows["value"] - value).abs().to_numpy().argmin())]
