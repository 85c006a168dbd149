"""The summary table of a norm: accuracy of each defence on clean images and under attacks."""

from __future__ import annotations

import pandas as pd

from dualperturb.core.budgets import NORMS
from dualperturb.errors import UserError
from dualperturb.evaluation.tables import ANY, HIGH, UNSEEN
from dualperturb.figures.names import NORM_NAMES, label
from dualperturb.figures.sweeps import defences, only, sweep
from dualperturb.figures.texts import NOT_MEASURED, bound_of, bound_text, counts_text, interval_text

UNSUSPICIOUS = 3  # columns: at the clean image's score, at a high one, under unseen judges


def summary_table(results: pd.DataFrame, norm: str, eps_f: float, eps_b: float) -> pd.DataFrame:
    """One row per defence: accuracy on clean images, under PGD at `eps_f`, under dual at both budgets, and n.

    Unsuspicious adversarial accuracy (see `evaluation.unsuspicious.tables`) follows where it was measured.
    Shows one data set's classifiers that were trained with `norm` or with none, attacked in `norm`. Budgets
    are at the paper's scale. Cells read "63.4 % [59.1, 67.5]" (95 % Wilson interval), or "not measured" where
    the budget is no point of the sweep. Raises `UserError` where a sweep or the clean accuracy is missing.
    """
    points = summary_points(results, norm, eps_f, eps_b)
    names = defences(next(iter(points.values())))
    table: dict[str, list[str]] = {"defence": [label(name) for name in names]}
    for heading, point in points.items():
        cells = {str(row["defence"]): interval_text(row) for _, row in point.iterrows()}
        table[heading] = [cells.get(name, NOT_MEASURED) for name in names]
    measured = pd.concat(points.values())
    table["n"] = [counts_text(measured[measured["defence"] == name]) for name in names]
    return pd.DataFrame(table)


def summary_points(results: pd.DataFrame, norm: str, eps_f: float, eps_b: float) -> dict[str, pd.DataFrame]:
    """The rows (one per defence, or none) behind each column of the summary table, by column heading."""
    whole = sweep(results, "pgd", "eps", norm)
    clean = whole[whole["value"] == 0]
    if clean.empty:
        raise UserError(f"results: no clean accuracy (pgd at eps 0) for data set {only(results, 'dataset')}")
    dual = dual_point(results, norm, eps_f, eps_b)
    bounded = f", S ≥ {bound_of(dual)}" if bound_of(dual) else ""
    return {
        "clean images": clean,
        f"PGD, eps = {eps_f:g}": whole[whole["value"] == eps_f],
        f"dual, eps_f = {eps_f:g}, eps_b = {eps_b:g}{bounded}": dual,
    } | unsuspicious_points(results, norm)


def unsuspicious_points(results: pd.DataFrame, norm: str) -> dict[str, pd.DataFrame]:
    """The rows of unsuspicious adversarial accuracy, all attacks together, by column heading; {} if none."""
    rows = results[(results["norm"] == norm) & (results["attack"] == ANY)]
    curve, judged = rows[rows["axis"] == "bound"], rows[rows["axis"] == "unsuspicious"]
    if curve.empty:
        return {}
    found = {
        "unsuspicious, S ≥ clean": judged[judged["judge"] == only(curve, "judge")],
        f"unsuspicious, S ≥ {HIGH:g}": curve[curve["value"] == HIGH],
        "unsuspicious, unseen judges": judged[judged["judge"] == UNSEEN],
    }
    return {heading: own for heading, own in found.items() if not own.empty}


def headline(results: pd.DataFrame, norm: str, eps_f: float, eps_b: float) -> str:
    """The table's answer in a sentence or two: what AT-PGD and AT-Dual keep under PGD, dual and the bound."""
    points = [
        {str(row["defence"]): _share(row) for _, row in point.iterrows()}
        for point in summary_points(results, norm, eps_f, eps_b).values()
    ]
    bound = bound_of(dual_point(results, norm, eps_f, eps_b))
    bounded = f" with a foreground score of at least {bound_text(bound)}" if bound else ""
    _, pgd, dual, *judged = points
    if not {"at_pgd", "at_dual"} <= set(pgd) & set(dual):
        return ""
    text = (
        f"{NORM_NAMES[norm]}: AT-PGD classifies {pgd['at_pgd']} of the test images rightly under PGD and "
        f"{dual['at_pgd']} under the dual-perturbation attack{bounded}; AT-Dual {pgd['at_dual']} and "
        f"{dual['at_dual']}."
    )
    if len(judged) == UNSUSPICIOUS:
        clean, _, unseen = judged
        text += (
            " Examples that fool and leave the foreground at least as salient as before exist for all images "
            f"but {clean['at_pgd']} on AT-PGD and {clean['at_dual']} on AT-Dual; by judges that no attack "
            f"climbed, for all but {unseen['at_pgd']} and {unseen['at_dual']}."
        )
    if "trainings" not in results:
        return text
    return f"{text} Means over {results['trainings'].max()} trainings, in brackets their range."


def _share(row: pd.Series) -> str:
    """Such as "97 %", or of several trainings "97 % (96 to 98)"."""
    text = f"{100 * row['accuracy']:.0f} %"
    if "trainings" not in row:
        return text
    return f"{text} ({100 * row['accuracy_least']:.0f} to {100 * row['accuracy_most']:.0f})"


def dual_point(results: pd.DataFrame, norm: str, eps_f: float, eps_b: float) -> pd.DataFrame:
    """Each defence's row under dual at both budgets, from either sweep; empty if neither has the point."""
    dual = pd.concat([sweep(results, "dual", axis, norm) for axis in ("eps_b", "eps_f")])
    # The two sweeps cross at this point and may both hold it; the attack and its numbers are the same.
    return dual[(dual["eps_f"] == eps_f) & (dual["eps_b"] == eps_b)].drop_duplicates("defence")


def spent_text(results: pd.DataFrame, norm: str, eps_f: float, eps_b: float) -> str:
    """Unit and scale of the summary's budgets, and what was spent at the image size attacked."""
    sentence = f"Budgets are {NORM_NAMES[norm]}, {NORMS[norm].unit.spoken}."
    point = dual_point(results, norm, eps_f, eps_b)
    if not point.empty:
        spent = point.iloc[0]
        sentence += (
            f" Salience weight of dual: {spent['salience_weight']:g}. Applied to pixels in [0, 1]: "
            f"{spent['eps_f_spent']:.4g} in the foreground for eps_f = {eps_f:g}, "
            f"{spent['eps_b_spent']:.4g} in the background for eps_b = {eps_b:g}."
        )
    return sentence
