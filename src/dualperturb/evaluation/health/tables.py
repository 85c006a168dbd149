"""The health checks that need no run of their own: they read tables that the evaluation made anyway."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dualperturb.errors import UserError
from dualperturb.evaluation.health.lines import Line, within_noise


def sweep_line(sweep: pd.DataFrame) -> Line | None:
    """Compares accuracy at each budget with the least at any smaller one on its axis, for one classifier.

    A rise that `within_noise` accepts does not count: every radius has random starts of its own. Rows of the
    salience weight's axis, which is no budget, are left out, and so are those without a salience term, with a
    bound on the foreground score or without: they were attacked together (see `attacks.nested`), and their
    accuracy cannot rise. n: that of the point with the fewest images. None where that leaves nothing. Raises
    UserError unless there are two budgets on an axis, and one row for each.
    """
    _check_columns("sweep", sweep, ("axis", "value", "accuracy", "n", "salience_weight"))
    budgets = sweep[(sweep["axis"] != "salience_weight") & (sweep["salience_weight"] > 0)]
    if budgets.empty:
        return None
    curves = [name for name in ("attack", "norm", "axis") if name in sweep.columns]
    if budgets.duplicated([*curves, "value"]).any():
        raise UserError("sweep: found two rows at one budget; expected one classifier's rows, one a budget")
    budgets = budgets.sort_values("value")
    least = budgets.groupby(curves)["accuracy"].transform(lambda curve: curve.cummin().shift())
    larger = budgets.assign(rise=budgets["accuracy"] - least)[least.notna()].reset_index(drop=True)
    if larger.empty:
        raise UserError("sweep: expected at least two budgets on an axis")
    counts = larger["n"].to_numpy()
    images = np.rint(larger["rise"].to_numpy() * counts).astype(int)  # more standing than at a smaller budget
    worst = larger.loc[int(larger["rise"].to_numpy().argmax())]
    figures = f"Accuracy rises at {int((images > 0).sum())} of {len(larger)} larger budgets"
    if (images > 0).any():
        figures += f", most at {worst['axis']} {worst['value']:g}: by {100 * worst['rise']:.1f} points"
    passed = all(within_noise(int(rise), int(count)) for rise, count in zip(images, counts, strict=True))
    return Line("monotone", passed, f"{figures}.", int(budgets["n"].min()))


def transfer_line(transfer: pd.DataFrame, correct: np.ndarray) -> Line:
    """Compares the least accuracy on examples made on other classifiers with that on the classifier's own.

    The latter is the row with source = target, made of the same images; without such a row it comes from
    `correct`, bool (n,), the outcome of the health checks' attack. Raises UserError unless there is one
    target, another source, and one row per source.
    """
    _check_columns("transfer", transfer, ("source", "target", "accuracy"))
    if transfer["target"].nunique() != 1 or transfer["source"].duplicated().any():
        raise UserError("transfer: expected one attack's rows of one target, one row a source")
    same = transfer["source"] == transfer["target"]
    if same.all():
        raise UserError("transfer: expected a source other than the target")
    own = float(transfer.loc[same, "accuracy"].iloc[0]) if same.any() else float(correct.mean())
    others = transfer[~same].reset_index(drop=True)
    strongest = int(others["accuracy"].to_numpy().argmin())
    least = float(others["accuracy"].to_numpy()[strongest])
    figures = (
        f"{100 * own:.1f} % stand against its own examples, {100 * least:.1f} % against the strongest "
        f"transferred ones (from {others['source'][strongest]})"
    )
    if own == least and own in (0.0, 1.0):
        figures += ", so that this line tells nothing"
    count = int(others["n"].to_numpy()[strongest]) if "n" in others.columns else len(correct)
    return Line("transfer", own <= least, f"{figures}.", count)


def _check_columns(name: str, table: pd.DataFrame, needed: tuple[str, ...]) -> None:
    missing = [column for column in needed if column not in table.columns]
    if missing:
        raise UserError(f"{name}: column {missing[0]} is absent; needed are {', '.join(needed)}")
