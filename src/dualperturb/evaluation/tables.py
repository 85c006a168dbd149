"""The columns of the tables of sweeps and measures; metrics, and curves for `dvc plots`, made from these."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from dualperturb.params import DEFENCES

_OWN = ("dataset", "defence", "trained_norm", "axis")
_ATTACKED = (*_OWN, "attack", "norm", "n", "accuracy", "accuracy_low", "accuracy_high")
_SPENT = (*_ATTACKED, "eps_f", "eps_b", "eps_f_spent", "eps_b_spent", "salience_weight", "steps")


def _means(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}{end}" for name in names for end in ("", "_low", "_high"))


# The columns that metrics, curves, figures and report need of each measure's table: measure -> columns.
COLUMNS: dict[str, tuple[str, ...]] = {
    "panels": (*_SPENT, "value", "loss", "salience_every", *_means("foreground_score")),
    "jsma": (*_ATTACKED, "value"),
    "smoothing": (*_SPENT, "value", *_means("foreground_score")),
    "gradients": (
        *(*_OWN, "n", "gradient_zero_gradients", "gradient_foreground_fraction"),
        *_means("gradient_share", "gradient_enrichment"),
    ),
    "transfer": (*_SPENT, "source"),
    "unsuspicious": (
        *(*_SPENT, "loss", "crossed_half"),
        *_means("foreground_score", "score_change", "ssim_distance", "ssim_distance_foreground"),
    ),
    "strong": (*_SPENT, "square_queries"),
}
RESULT_COLUMNS = tuple(dict.fromkeys(column for columns in COLUMNS.values() for column in columns))

SWEPT = ("pgd", "dual")  # the attacks of the panels; others are read off at the same budgets
Metrics = dict[str, dict[str, dict[str, dict[str, float]]]]


def metrics(results: pd.DataFrame, budgets: Mapping[str, tuple[float, float]]) -> Metrics:
    """The few numbers to compare experiments by (fractions, 4 digits): data set -> norm -> defence -> name.

    Classifiers are attacked in the norm that they were trained with. clean: accuracy without attack; pgd,
    dual: at the measured budgets nearest to eps_f and to {eps_f, eps_b}, which `budgets` gives by norm (of
    two equally near ones the one listed first); foreground_score: that of the dual examples.
    """
    found: Metrics = {}
    own = same_norm(results[results["axis"].isin(("eps", "eps_b")) & results["attack"].isin(SWEPT)])
    for (dataset, norm, defence), rows in own.groupby(["dataset", "norm", "defence"], sort=False):
        eps_f, eps_b = budgets[str(norm)]
        pgd = rows[rows["axis"] == "eps"]
        dual = rows[rows["axis"] == "eps_b"]
        at_pgd, at_dual = _nearest(pgd, eps_f), _nearest(dual, eps_b)
        found.setdefault(str(dataset), {}).setdefault(str(norm), {})[str(defence)] = {
            "clean": round(float(_nearest(pgd, 0.0)["accuracy"]), 4),
            "pgd": round(float(at_pgd["accuracy"]), 4),
            "dual": round(float(at_dual["accuracy"]), 4),
            "foreground_score": round(float(at_dual["foreground_score"]), 4),
        }
    return found


def curves(results: pd.DataFrame, axis: str) -> pd.DataFrame:
    """Adversarial accuracy in %, with one row per value of the axis and one column per defence.

    results: rows of one norm, of which those of classifiers trained with another norm are left out. Over the
    salience weight, the accuracy is that of cross-entropy.
    """
    rows = same_norm(results[(results["axis"] == axis) & results["attack"].isin(SWEPT)])
    if axis == "salience_weight":
        rows = rows[rows["loss"] == "cross_entropy"]
    wide = rows.pivot(index="value", columns="defence", values="accuracy") * 100
    wide = wide[[name for name in DEFENCES if name in wide.columns]].round(2)
    return wide.rename_axis(axis).rename_axis(None, axis="columns").reset_index()


def same_norm(results: pd.DataFrame) -> pd.DataFrame:
    """The rows of classifiers that were trained with the norm of the attack, or with none."""
    return results[(results["trained_norm"] == "none") | (results["trained_norm"] == results["norm"])]


def _nearest(rows: pd.DataFrame, value: float) -> pd.Series:
    assert len(rows), "no point on this axis"
    return rows.iloc[int((rows["value"] - value).abs().to_numpy().argmin())]
