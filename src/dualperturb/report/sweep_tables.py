"""The tables beside Fig. 3 to 5 and across norms."""

from __future__ import annotations

import pandas as pd

from dualperturb.figures.accuracy import SWEEPS, has_jsma_panel
from dualperturb.figures.names import NORM_NAMES, label
from dualperturb.figures.salience import OBJECTIVES, salience_sweeps
from dualperturb.figures.sweeps import defences, jsma, norms, sweep
from dualperturb.report.texts import interval_text, mean_text, ordered, row_label, several_norms


def accuracy_rows(results: pd.DataFrame, norm: str, alike: bool = True) -> pd.DataFrame:
    """The results' rows behind a norm's panels."""
    rows = [sweep(results, attack, axis, norm, alike=alike) for attack, axis in SWEEPS]
    if alike and has_jsma_panel(results, norm):
        rows.append(jsma(results))
    return pd.concat(rows)


def accuracy_table(results: pd.DataFrame, norm: str, alike: bool = True) -> pd.DataFrame:
    """A row a point of the sweeps, a column a classifier; budgets at the paper's scale and as spent."""
    swept = [sweep(results, attack, axis, norm, alike=alike) for attack, axis in SWEEPS]
    return pd.concat([_points(rows, named=not alike) for rows in swept], ignore_index=True)


def across_table(results: pd.DataFrame) -> pd.DataFrame:
    """`accuracy_table` of the classifiers trained with another norm than that of the attack."""
    tables = []
    for norm in norms(results):
        table = accuracy_table(results, norm, alike=False)
        table.insert(0, "norm", NORM_NAMES[norm])
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def jsma_table(results: pd.DataFrame) -> pd.DataFrame:
    """A row a share of the pixels, a column a classifier."""
    rows, several = ordered(jsma(results)), several_norms(results)
    cells: dict[float, dict[str, object]] = {}
    for _, row in rows.iterrows():
        share = float(row["value"])
        cells.setdefault(share, {"pixels changed": f"{100 * share:g} %", "n": int(row["n"])})
        cells[share][row_label(row, several)] = interval_text(row)
    return pd.DataFrame([cells[share] for share in sorted(cells)])


def salience_table(results: pd.DataFrame) -> pd.DataFrame:
    """A row an objective, defence and salience weight: foreground score and accuracy with intervals."""
    points = pd.concat(salience_sweeps(results).values())
    for column, names in (("objective", list(OBJECTIVES)), ("defence", defences(points))):
        points[f"{column} place"] = points[column].map(names.index)
    points = points.sort_values(["objective place", "defence place", "value"])
    return pd.DataFrame(
        {
            "objective": list(points["objective"]),
            "defence": [label(name) for name in points["defence"]],
            "salience weight": list(points["value"]),
            "foreground score": [mean_text(row, "foreground_score") for _, row in points.iterrows()],
            "adversarial accuracy": [interval_text(row) for _, row in points.iterrows()],
            "n": list(points["n"]),
        }
    )


def _points(rows: pd.DataFrame, named: bool) -> pd.DataFrame:
    """named: with the norm of their training in the headings."""
    first = rows[rows["defence"] == defences(rows)[0]]
    table = pd.DataFrame(
        {
            "attack": list(first["attack"] + " over " + first["axis"]),
            "eps_f": list(first["eps_f"]),
            "eps_b": list(first["eps_b"]),
            "eps_f spent": list(first["eps_f_spent"]),
            "eps_b spent": list(first["eps_b_spent"]),
        }
    )
    for defence in defences(rows):
        own = rows[rows["defence"] == defence]
        trained = str(own["trained_norm"].iloc[0])
        heading = f"{label(defence)}, trained with {NORM_NAMES[trained]}" if named else label(defence)
        table[heading] = [interval_text(row) for _, row in own.iterrows()]
    table["steps"] = [int(steps) for steps in first["steps"]]
    counts = rows.groupby("value")["n"].unique()
    table["n"] = [" / ".join(str(int(n)) for n in counts[value]) for value in first["value"]]
    return table
