"""Numbers and names as the sentences and tables beside the figures have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from dualperturb.figures.names import NORM_NAMES, classifier_label, label
from dualperturb.figures.sweeps import defences, only

NOT_MEASURED = "not measured"


def interval_text(row: pd.Series, measure: str = "accuracy", counted: bool = False) -> str:
    """A share and its interval in %, such as "63.4 % [59.1, 67.5]"; a dash where it was not measured.

    counted: with the number of images, " of 200". Several trainings have their range, too, such as ", 61.0 to
    66.0 over 3 trainings".
    """
    if pd.isna(row[measure]):
        return "–"
    low, high = 100 * row[f"{measure}_low"], 100 * row[f"{measure}_high"]
    text = f"{100 * row[measure]:.1f} % [{low:.1f}, {high:.1f}]" + (f" of {int(row['n'])}" if counted else "")
    return text + _range_text(row, measure, lambda value: f"{100 * value:.1f}")


def mean_text(row: pd.Series, measure: str, signed: bool = False) -> str:
    """A mean and its interval, such as "0.803 [0.790, 0.816]", and the range of several trainings, as above;
    a dash where it was not measured."""
    if pd.isna(row[measure]):
        return "–"
    low, high, sign = row[f"{measure}_low"], row[f"{measure}_high"], "+" if signed else ""
    text = f"{row[measure]:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"
    return text + _range_text(row, measure, lambda value: f"{value:{sign}.3f}")


def _range_text(row: pd.Series, measure: str, form: Callable[[float], str]) -> str:
    if "trainings" not in row:
        return ""
    least, most = form(row[f"{measure}_least"]), form(row[f"{measure}_most"])
    return f", {least} to {most} over {int(row['trainings'])} trainings"


def budgets_text(norm: str, eps_f: float, eps_b: float | None = None) -> str:
    """Budgets in a sentence: "eps_f = 2, eps_b = 20 (L2)", or with one budget "eps = 2 (L2)"."""
    if eps_b is None:
        return f"eps = {eps_f:g} ({NORM_NAMES[norm]})"
    return f"eps_f = {eps_f:g}, eps_b = {eps_b:g} ({NORM_NAMES[norm]})"


def row_budgets_text(row: pd.Series) -> str:
    """The budgets of a row of the results: one for PGD, else two."""
    eps_b = None if row["attack"] == "pgd" else float(row["eps_b"])
    return budgets_text(str(row["norm"]), float(row["eps_f"]), eps_b)


def row_label(row: pd.Series, several_norms: bool) -> str:
    """The classifier of a row of the results; with the norm of its training where there are several."""
    defence, trained = str(row["defence"]), str(row["trained_norm"])
    return classifier_label(defence, trained) if several_norms else label(defence)


def several_norms(results: pd.DataFrame) -> bool:
    """Whether classifiers were trained with more than one norm."""
    return len(set(results["trained_norm"]) - {"none"}) > 1


def names_text(rows: pd.DataFrame) -> str:
    """The defences of `rows`: "Clean, AT-PGD and AT-Dual"."""
    return listed([label(defence) for defence in defences(rows)])


def norms_text(norms: Sequence[str]) -> str:
    """The names of norms: "L1, L2 and L-infinity"."""
    return listed([NORM_NAMES[norm] for norm in norms])


def listed(names: Sequence[str]) -> str:
    """Names in a sentence: "one, two and three"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def images_text(rows: pd.DataFrame) -> str:
    """The number of images behind each of `rows`, and that of trainings where there are several."""
    low, high = int(rows["n"].min()), int(rows["n"].max())
    text = f"{images(low)} a point" if low == high else f"{low} to {high} images a point"
    return f"{text}, means over {int(rows['trainings'].max())} trainings" if "trainings" in rows else text


def images(count: int, kind: str = "") -> str:
    """A number of images, of a kind such as "test " if one is given: "1 test image"."""
    return f"{count} {kind}image{'' if count == 1 else 's'}"


def counts_text(rows: pd.DataFrame) -> str:
    """The numbers of images behind `rows`; several where they differ."""
    return " / ".join(str(count) for count in dict.fromkeys(int(n) for n in rows["n"]))


def ordered(rows: pd.DataFrame) -> pd.DataFrame:
    """Sorted by defence in the paper's order; rows of one defence stay as they were."""
    return rows.sort_values("defence", key=lambda names: names.map(defences(rows).index), kind="stable")


def bound_of(rows: pd.DataFrame) -> str:
    """The bound on the foreground score that attacks of `rows` keep, as params.yaml has it; "" for none.

    Raises `UserError` where there are several.
    """
    bounded = rows.dropna(subset="min_foreground_score")
    return "" if bounded.empty else only(bounded, "min_foreground_score").removesuffix(".0")


def bound_text(bound: str) -> str:
    """A bound in a sentence, after "at least": such as "0.9" or "that of the original image less 0.05"."""
    clean = "that of the original image"
    return (
        bound.replace("clean-", f"{clean} less ").replace("clean+", f"{clean} plus ").replace("clean", clean)
    )


def bound_note(rows: pd.DataFrame) -> str:
    """A sentence where dual examples have to keep a foreground score, else nothing."""
    bound = bound_of(rows)
    if not bound:
        return ""
    return (
        " In the sweeps over eps_f and eps_b an example counts only if it keeps the foreground score S at or "
        f"above {bound_text(bound)}: there, accuracy is unsuspicious adversarial accuracy (ours)."
    )


def salience_note(rows: pd.DataFrame) -> str:
    """A sentence where the gradient of the foreground score was used for several steps, else nothing."""
    most = int(rows["salience_every"].max())
    return f" The gradient of the foreground score is renewed in every {most} steps." if most > 1 else ""
