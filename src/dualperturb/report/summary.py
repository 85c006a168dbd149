"""The summary table of a data set: accuracy of each defence on clean images, under PGD and under dual."""

from __future__ import annotations

import pandas as pd

from dualperturb.errors import UserError
from dualperturb.figures.sweeps import defences, label, only, sweep

NOT_MEASURED = "not measured"
NORM_NAMES = {"L2": "L2", "Linf": "L-infinity"}


def interval_text(row: pd.Series) -> str:
    """Accuracy and its interval in %, such as "63.4 % [59.1, 67.5]"."""
    low, high = 100 * row["accuracy_low"], 100 * row["accuracy_high"]
    return f"{100 * row['accuracy']:.1f} % [{low:.1f}, {high:.1f}]"


def summary_table(results: pd.DataFrame, dataset: str, eps_f: float, eps_b: float) -> pd.DataFrame:
    """A row a defence: accuracy on clean images, under PGD at `eps_f`, under dual at both budgets, and n.

    Budgets at the paper's scale. Cells read "63.4 % [59.1, 67.5]" (95 % Wilson interval), or "not measured"
    where the budget is no point of the sweep. Raises `UserError` where the data set, a sweep or the clean
    accuracy is missing.
    """
    rows = results[results["dataset"] == dataset]
    points = summary_points(rows, eps_f, eps_b)
    table: dict[str, list[str]] = {"defence": [label(name) for name in defences(rows)]}
    for heading, point in points.items():
        cells = {str(row["defence"]): interval_text(row) for _, row in point.iterrows()}
        table[heading] = [cells.get(name, NOT_MEASURED) for name in defences(rows)]
    measured = pd.concat(points.values())
    table["n"] = [_counts(measured[measured["defence"] == name]) for name in defences(rows)]
    return pd.DataFrame(table)


def summary_points(rows: pd.DataFrame, eps_f: float, eps_b: float) -> dict[str, pd.DataFrame]:
    """The rows (one a defence, or none) behind each column of the summary table, by column heading."""
    whole = sweep(rows, "pgd", "eps")
    clean = whole[whole["value"] == 0]
    if clean.empty:
        raise UserError(f"results: no clean accuracy (pgd at eps 0) for data set {only(rows, 'dataset')}")
    dual = pd.concat([sweep(rows, "dual", "eps_b"), sweep(rows, "dual", "eps_f")])
    there = dual[(dual["eps_f"] == eps_f) & (dual["eps_b"] == eps_b)]
    return {
        "clean images": clean,
        f"PGD, eps = {eps_f:g}": whole[whole["value"] == eps_f],
        # The two sweeps cross at this point and may both hold it; the attack and its numbers are the same.
        f"dual, eps_f = {eps_f:g}, eps_b = {eps_b:g}": there.drop_duplicates("defence"),
    }


def spent_text(rows: pd.DataFrame, eps_f: float, eps_b: float) -> str:
    """Unit and scale of the summary's budgets, and what was spent at the image size attacked."""
    norm = only(rows, "norm")
    scale = "in 1/255" if norm == "Linf" else "at the paper's scale (images of 224x224)"
    sentence = f"Budgets are {NORM_NAMES[norm]}, {scale}."
    for heading, point in summary_points(rows, eps_f, eps_b).items():
        if heading.startswith("dual") and not point.empty:
            spent = point.iloc[0]
            sentence += (
                f" Salience weight of dual: {spent['salience_weight']:g}. Applied to pixels in [0, 1]: "
                f"{spent['eps_f_spent']:.4g} in the foreground for eps_f = {eps_f:g}, "
                f"{spent['eps_b_spent']:.4g} in the background for eps_b = {eps_b:g}."
            )
    return sentence


def _counts(rows: pd.DataFrame) -> str:
    """The number of images behind a row; several where the columns differ."""
    return " / ".join(str(count) for count in dict.fromkeys(int(n) for n in rows["n"]))
