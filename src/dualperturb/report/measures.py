"""Tables of the measures that have no figure: strong attacks, unsuspicious examples by attack and judge."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dualperturb.evaluation.tables import UNSEEN, same_norm
from dualperturb.figures.names import ATTACKS, label
from dualperturb.figures.sweeps import jsma
from dualperturb.figures.texts import bound_of, interval_text, mean_text, ordered, row_label, several_norms
from dualperturb.params.unsuspicious import CONTROL

_JUDGE = {UNSEEN: "all unseen"}
STANDARD_QUERIES = 5000  # of AutoAttack's last part, Square
# The table's columns: attack -> heading; a star stands for the number of steps.
_STRONG = {
    "pgd": "PGD, * steps",
    "autoattack": "AutoAttack (standard)",
    "cw": "C&W",
    "dual": "dual, * steps",
    "dual_autoattack": "Dual-AutoAttack",
}


def strong_table(results: pd.DataFrame, norm: str, eps_f: float) -> pd.DataFrame:
    """One row per classifier trained with `norm` or none: accuracy under each strong attack, with its n.

    C&W is read off at `eps_f` in L2. A heading names the bound that examples had to keep. Attacks without a
    heading here come last, by their name in the results. The table is empty where nothing was measured in
    the norm.
    """
    rows = same_norm(results[results["norm"] == norm])
    rows = rows[(rows["axis"] == "strong") | ((rows["attack"] == "cw") & (rows["value"] == eps_f))]
    found = [str(name) for name in rows["attack"].unique()]
    named = [name for name in _STRONG if name in found] + [name for name in found if name not in _STRONG]
    table = []
    for _, own in ordered(rows).groupby(["defence", "trained_norm"], sort=False):
        cells = {"classifier": row_label(own.iloc[0], False)}
        for attack in named:
            cells[_heading(attack, rows)] = _cell(own[own["attack"] == attack])
        table.append(cells)
    return pd.DataFrame(table)


def jsma_table(results: pd.DataFrame) -> pd.DataFrame:
    """One row per share of the pixels, one column per classifier: accuracy under JSMA."""
    rows, several = ordered(jsma(results)), several_norms(results)
    cells: dict[float, dict[str, object]] = {}
    for _, row in rows.iterrows():
        share = float(row["value"])
        cells.setdefault(share, {"pixels changed": f"{100 * share:g} %", "n": int(row["n"])})
        cells[share][row_label(row, several)] = interval_text(row)
    return pd.DataFrame([cells[share] for share in sorted(cells)])


def carlini_wagner_table(results: pd.DataFrame) -> pd.DataFrame:
    """One row per budget, one column per classifier: accuracy under C&W, read off one run."""
    rows = ordered(results[(results["attack"] == "cw") & (results["axis"] == "eps")])
    cells: dict[float, dict[str, Any]] = {}
    for _, row in rows.iterrows():
        value = float(row["value"])
        cells.setdefault(value, {"eps": value})[row_label(row, False)] = interval_text(row)
    return pd.DataFrame([cells[value] for value in sorted(cells)])


def judges_table(results: pd.DataFrame, norm: str) -> pd.DataFrame:
    """One row per classifier and attack, one column per judge: what its scores say of the examples.

    A cell: the mean change of the score, and the share of images with an example that fools and is judged at
    least as salient as the image itself; of several trainings each with its range. The last column: under
    all judges at once that no attack climbed. The control has no column, unless it is the model that scores,
    whose rows over the bound tell.
    """
    own = results[results["norm"] == norm]
    scoring = set(own.loc[own["axis"] == "bound", "judge"])
    rows = own[own["axis"] == "unsuspicious"]
    rows = rows[(rows["judge"] != CONTROL) | rows["judge"].isin(scoring)]
    table = []
    for (defence, attack), own in ordered(rows).groupby(["defence", "attack"], sort=False):
        cells = {"classifier": label(str(defence)), "attack": ATTACKS[str(attack)]}
        for _, row in own.iterrows():
            cells[_JUDGE.get(str(row["judge"]), str(row["judge"]))] = _judged(row)
        table.append(cells | {"n": str(int(own["n"].iloc[0]))})
    return pd.DataFrame(table)


def distances_table(results: pd.DataFrame, norm: str) -> pd.DataFrame:
    """One row per classifier and attack: foreground score beside the control's, and perceptual distances."""
    rows = results[(results["axis"] == "unsuspicious") & (results["norm"] == norm)]
    control = rows[rows["judge"] == CONTROL].drop_duplicates("defence").set_index("defence")
    return pd.DataFrame(
        [
            {
                "classifier": label(str(row["defence"])),
                "attack": ATTACKS[str(row["attack"])],
                f"S ({row['judge']})": mean_text(row, "foreground_score"),
                "S of the control": mean_text(control.loc[row["defence"]], "foreground_score"),
                "fell below 0.5": f"{int(row['crossed_half'])} of {int(row['n'])}",
                "SSIM distance, whole image": mean_text(row, "ssim_distance"),
                "SSIM distance, foreground": mean_text(row, "ssim_distance_foreground"),
            }
            for _, row in ordered(rows[rows["ssim_distance"].notna()]).iterrows()
        ]
    )


def _judged(row: pd.Series) -> str:
    """Such as "-0.050, 30 %", or of several trainings "-0.050 (-0.060 to -0.040), 30 % (27 to 36)"."""
    several = "trainings" in row
    kept = f"{_kept(row['accuracy'])}\N{NO-BREAK SPACE}%"
    if several:
        kept += f" ({_kept(row['accuracy_most'])} to {_kept(row['accuracy_least'])})"
    if pd.isna(row["score_change"]):
        return kept
    change = f"{row['score_change']:+.3f}"
    if several:
        change += f" ({row['score_change_least']:+.3f} to {row['score_change_most']:+.3f})"
    return f"{change}, {kept}"


def _kept(accuracy: float) -> str:
    return f"{100 * (1 - accuracy):.0f}"


def _heading(attack: str, rows: pd.DataFrame) -> str:
    if attack == "autoattack":
        queries = int(rows.loc[rows["attack"] == attack, "square_queries"].iloc[0])
        smaller = queries < STANDARD_QUERIES
        return f"AutoAttack, {queries} queries in Square" if smaller else _STRONG[attack]
    own = rows[rows["attack"] == attack]
    steps = "/".join(f"{int(step)}" for step in own["steps"].dropna().unique())
    bound = f", S ≥ {bound_of(own)}" if bound_of(own) else ""
    return _STRONG.get(attack, attack).replace("*", steps) + bound


def _cell(rows: pd.DataFrame) -> str:
    return interval_text(rows.iloc[0], counted=True) if len(rows) else "–"
