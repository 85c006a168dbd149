"""Picking one sweep out of the results table, checked: what a panel, a caption or a table is made from."""

from __future__ import annotations

import pandas as pd

from dualperturb.errors import UserError

LABELS = {"clean": "Clean", "at_pgd": "AT-PGD", "at_dual": "AT-Dual", "smoothing": "Smoothing"}


def label(defence: str) -> str:
    """The defence's name as the paper prints it."""
    return LABELS.get(defence, defence)


def defences(rows: pd.DataFrame) -> list[str]:
    """The defences of `rows` in the paper's order, unknown ones last in order of appearance."""
    present = [str(name) for name in rows["defence"].unique()]
    known = [name for name in LABELS if name in present]
    return known + [name for name in present if name not in known]


def only(rows: pd.DataFrame, column: str) -> str:
    """The single value that `column` holds in `rows`; raises `UserError` where there are several or none."""
    values = [str(value) for value in rows[column].unique()]
    if len(values) != 1:
        raise UserError(f"results: expected one {column}, found {', '.join(values) or 'no rows'}")
    return values[0]


def constant(rows: pd.DataFrame, column: str) -> float:
    """The single number that `column` holds in `rows`; raises `UserError` where it varies."""
    only(rows, column)
    return float(rows[column].iloc[0])


def sweep(results: pd.DataFrame, attack: str, axis: str, objective: str | None = None) -> pd.DataFrame:
    """The rows of one data set's sweep of `attack` over `axis`, sorted by value.

    objective: only the rows in which the salience term was climbed so.
    Raises `UserError` where `results` holds several data sets or norms, has no such rows, or where the
    defences were not all measured once at the same values.
    """
    dataset = only(results, "dataset")
    rows = results[(results["attack"] == attack) & (results["axis"] == axis)].sort_values("value")
    if objective is not None:
        rows = rows[rows["objective"] == objective]
    if rows.empty:
        raise UserError(f"results: no rows of attack {attack} over the axis {axis} for data set {dataset}")
    only(rows, "norm")
    grids = {name: tuple(rows.loc[rows["defence"] == name, "value"]) for name in defences(results)}
    longest = max(grids.values(), key=len)
    for name, grid in grids.items():
        if grid != longest or len(set(grid)) != len(grid):
            raise UserError(
                f"results: {attack} over {axis} on {dataset} has the values {_listed(grid)} for {name}, "
                f"expected each of {_listed(tuple(sorted(set(longest))))} once"
            )
    return rows


def _listed(values: tuple[float, ...]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"
