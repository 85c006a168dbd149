"""What the judges of unsuspicious examples add to Fig. 3: the control, and examples that lose the eye."""

from __future__ import annotations

import pandas as pd

from dualperturb.figures.names import label
from dualperturb.figures.sweeps import constant
from dualperturb.figures.texts import budgets_text, ordered
from dualperturb.params.unsuspicious import CONTROL


def control_score(results: pd.DataFrame, norm: str) -> float | None:
    """The mean foreground score by the control, which looks at no image; None where it did not judge."""
    rows = _judged(results, norm)
    rows = rows[(rows["judge"] == CONTROL) & rows["foreground_score"].notna()]
    return None if rows.empty else float(rows["foreground_score"].iloc[0])


def crossed_text(results: pd.DataFrame, norm: str) -> str:
    """How many images fall below a score of 0.5 without and with the salience term, for each classifier."""
    rows = _judged(results, norm)
    rows = rows[rows["attack"].isin(("dual", "sum")) & rows["ssim_distance"].notna()]
    parts = []
    for weight, own in ordered(rows).groupby("salience_weight"):
        counts = [
            f"{label(str(row['defence']))} {int(row['crossed_half'])} of {int(row['n'])}"
            for _, row in own.iterrows()
        ]
        parts.append(f"at weight {weight:g} {', '.join(counts)}")
    if not parts:
        return ""
    budgets = budgets_text(norm, constant(rows, "eps_f"), constant(rows, "eps_b"))
    return f" Images whose foreground score falls below 0.5 ({budgets}): {'; '.join(parts)}."


def control_text(results: pd.DataFrame, norm: str) -> str:
    level = control_score(results, norm)
    if level is None:
        return ""
    n = int(_judged(results, norm)["n"].iloc[0])
    return f" The dotted line is the control's, {level:.3f} on {n} of them: it looks at the middle of each."


def _judged(results: pd.DataFrame, norm: str) -> pd.DataFrame:
    return results[(results["axis"] == "unsuspicious") & (results["norm"] == norm)]
