"""The columns of the tables of sweeps and measures; metrics, and curves for `dvc plots`, made from these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from dualperturb.errors import REMAKE, UserError
from dualperturb.evaluation.measuring.intervals import wilson
from dualperturb.params import DEFENCES

# Of unsuspicious adversarial accuracy. ANY, in the column `attack`: all attacks together. UNSEEN, in `judge`:
# all judges at once that no attack climbed. HIGH: the bound that summaries quote, from the paper's "in most
# cases above 0.9". BOUNDS: those of the curve.
ANY, UNSEEN = "any", "unseen"
HIGH = 0.9
BOUNDS = tuple(round(0.05 * step, 2) for step in range(21))

_ENDS = ("", "_low", "_high")  # of the names of a measure and of its interval
_RANGE = ("_least", "_most")  # over several trainings
_OWN = ("dataset", "defence", "trained_norm", "training", "axis")
_ATTACKED = (*_OWN, "attack", "norm", "n", "accuracy", "accuracy_low", "accuracy_high")
_SPENT = (*_ATTACKED, "eps_f", "eps_b", "eps_f_spent", "eps_b_spent", "salience_weight", "steps")
_BOUNDED = (*_SPENT, "min_foreground_score")


def _means(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}{end}" for name in names for end in _ENDS)


LOSS = "loss"  # the sweeps' column that names the loss of an attack

# The columns that metrics, curves, figures and report need of each measure's table: measure -> columns.
COLUMNS: dict[str, tuple[str, ...]] = {
    "panels": (
        *(*_BOUNDED, "value", "loss", "salience_every"),
        *_means("foreground_score"),
    ),
    "jsma": (*_ATTACKED, "value"),
    "smoothing": (*_SPENT, "value", *_means("foreground_score")),
    "gradients": (
        *(*_OWN, "n", "gradient_zero_gradients", "gradient_foreground_fraction"),
        *_means("gradient_share", "gradient_enrichment"),
    ),
    "transfer": (*_BOUNDED, "source"),
    "unsuspicious": (
        *(*_SPENT, "value", "judge", "crossed_half"),
        *_means("foreground_score", "score_change", "ssim_distance", "ssim_distance_foreground"),
    ),
    "strong": (*_BOUNDED, "square_queries"),
}
RESULT_COLUMNS = tuple(dict.fromkeys(column for columns in COLUMNS.values() for column in columns))

# What the claims need of the tables of images: measure -> columns. Of the panels', data set, defence, attack
# and norm come from their places; of `strong` there are C&W's outcomes alone.
_POINT = ("trained_norm", "training", "axis", "value", "index")
_IMAGE = ("dataset", "defence", "attack", "norm", *_POINT)
IMAGE_COLUMNS: dict[str, tuple[str, ...]] = {
    "panels": (*_POINT, LOSS, "correct", "foreground_score"),
    "jsma": (*_IMAGE, "correct"),
    "strong": (*_IMAGE, "correct"),
    "gradients": (*_IMAGE, "gradient_share"),
}

_BARE = ("gradient_foreground_fraction",)  # a mean without an interval here
_COUNTS = ("n", "crossed_half", "gradient_zero_gradients")  # of images

SWEPT = ("pgd", "dual")  # the attacks of the panels; others are read off at the same budgets
Metrics = dict[str, dict[str, dict[str, dict[str, float]]]]


def over_trainings(results: pd.DataFrame) -> pd.DataFrame:
    """The results of several trainings as means over them, a row a point; those of one training as they are.

    The column `training` goes. An accuracy's interval is Wilson's at the mean and at n, other intervals have
    the means of their ends: they tell of the test images alone. For the trainings there are NAME_least and
    NAME_most of each measure with an interval, and `trainings`, the number of them. Counts of images are
    rounded. The columns that have an interval, the counts and `_BARE` are measures; all others say what was
    measured. Raises UserError where a point has not one row of each training.
    """
    seeds, rows = results["training"].nunique(), results.drop(columns="training")
    if seeds == 1:
        return rows
    counts = [name for name in _COUNTS if name in rows]
    spread = [name for name in rows if f"{name}_low" in rows]
    measures = {*counts, *_BARE, *(f"{name}{end}" for name in spread for end in _ENDS)}
    keys = [str(name) for name in rows if name not in measures]
    _check_trainings(results, keys, seeds)
    groups = rows.groupby(keys, sort=False, dropna=False)
    found = groups.mean()
    found[counts] = found[counts].round()
    found["n"] = found["n"].astype(int)
    points = zip(found["accuracy"], found["n"], strict=True)
    intervals = [(share, share) if pd.isna(share) else wilson(share * n, n) for share, n in points]
    found[["accuracy_low", "accuracy_high"]] = intervals
    found = found.reset_index()[list(rows)]
    least, most = (ends.reset_index(drop=True) for ends in (groups[spread].min(), groups[spread].max()))
    ranges = [ends.add_suffix(name) for name, ends in zip(_RANGE, (least, most), strict=True)]
    return pd.concat([found, *ranges], axis=1).assign(trainings=seeds)


def _check_trainings(results: pd.DataFrame, keys: list[str], seeds: int) -> None:
    rows = results.groupby(keys, sort=False, dropna=False)["training"].agg(["size", "nunique"]).reset_index()
    wrong = rows[(rows["size"] != seeds) | (rows["nunique"] != seeds)]
    if len(wrong):
        first = wrong.iloc[0]
        point = ", ".join(f"{key} {first[key]}" for key in keys if pd.notna(first[key]))
        raise UserError(
            f"results at {point}: found {first['size']} rows of {first['nunique']} trainings; accepted: one "
            f"of each of the {seeds}; {REMAKE}"
        )


def metrics(results: pd.DataFrame, budgets: Mapping[str, tuple[float, float]]) -> Metrics:
    """The few numbers to compare experiments by (fractions, 4 digits): data set -> norm -> defence -> name.

    Classifiers are attacked in the norm that they were trained with. clean: accuracy without attack; pgd,
    dual: at the measured budgets nearest to eps_f and to {eps_f, eps_b}, which `budgets` gives by norm (of
    two equally near ones the one listed first); foreground_score: that of the dual examples. Unsuspicious
    adversarial accuracy under all attacks together: at the clean image's score, at 0.9, under unseen judges,
    each with NAME_low and NAME_high, its 95 % interval. Of several trainings all have NAME_least and
    NAME_most.
    """
    found: Metrics = {}
    own = same_norm(results[results["axis"].isin(("eps", "eps_b")) & results["attack"].isin(SWEPT)])
    for (dataset, norm, defence), rows in own.groupby(["dataset", "norm", "defence"], sort=False):
        eps_f, eps_b = budgets[str(norm)]
        pgd = rows[rows["axis"] == "eps"]
        dual = rows[rows["axis"] == "eps_b"]
        at_pgd, at_dual = _nearest(pgd, eps_f), _nearest(dual, eps_b)
        found.setdefault(str(dataset), {}).setdefault(str(norm), {})[str(defence)] = {
            **_numbers("clean", _nearest(pgd, 0.0)),
            **_numbers("pgd", at_pgd),
            **_numbers("dual", at_dual),
            **_numbers("foreground_score", at_dual, "foreground_score"),
        }
    for name, rows in _unsuspicious(results).items():
        for _, row in rows.iterrows():
            found[row["dataset"]][row["norm"]][row["defence"]] |= _numbers(name, row, ends=_ENDS)
    return found


def _numbers(
    name: str, row: pd.Series, measure: str = "accuracy", ends: Sequence[str] = ("",)
) -> dict[str, float]:
    """A measure of a row under the name that metrics give it, its range over trainings after its `ends`."""
    several = _RANGE if "trainings" in row else ()
    return {f"{name}{end}": round(float(row[f"{measure}{end}"]), 4) for end in (*ends, *several)}


def _unsuspicious(results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Name -> rows, one a classifier."""
    rows = results[results["attack"] == ANY]
    curve, judged = rows[rows["axis"] == "bound"], rows[rows["axis"] == "unsuspicious"]
    own = curve.drop_duplicates("dataset").set_index("dataset")["judge"]  # that of masks.model
    return {
        "unsuspicious_clean": judged[judged["judge"] == judged["dataset"].map(own)],
        f"unsuspicious_{HIGH:g}": curve[curve["value"] == HIGH],
        "unsuspicious_unseen": judged[judged["judge"] == UNSEEN],
    }


def curves(results: pd.DataFrame, axis: str) -> pd.DataFrame:
    """Adversarial accuracy in %, with one row per value of the axis and one column per defence.

    results: rows of one norm, of which those of classifiers trained with another norm are left out. Over the
    salience weight, the accuracy is that of cross-entropy.
    """
    rows = same_norm(results[(results["axis"] == axis) & results["attack"].isin(SWEPT)])
    if axis == "salience_weight":
        rows = rows[rows["loss"] == "cross_entropy"]
    wide = rows.pivot(index="value", columns="defence", values="accuracy") * 100
    first = [name for name in DEFENCES if name in wide.columns]
    wide = wide[[*first, *(name for name in rows["defence"].unique() if name not in first)]].round(2)
    return wide.rename_axis(axis).rename_axis(None, axis="columns").reset_index()


def same_norm(results: pd.DataFrame) -> pd.DataFrame:
    """The rows of classifiers that were trained with the norm of the attack, or with none."""
    return results[(results["trained_norm"] == "none") | (results["trained_norm"] == results["norm"])]


def _nearest(rows: pd.DataFrame, value: float) -> pd.Series:
    assert len(rows), "no point on this axis"
    return rows.iloc[int((rows["value"] - value).abs().to_numpy().argmin())]
