"""Selection of one sweep, checked, from the results table: the rows behind a panel, a caption or a table."""

from __future__ import annotations

import pandas as pd

from dualperturb.errors import UserError
from dualperturb.evaluation.tables import same_norm
from dualperturb.figures.names import LABELS, label
from dualperturb.params import AXES

__all__ = ["constant", "defences", "jsma", "label", "norms", "only", "sweep"]


def defences(rows: pd.DataFrame) -> list[str]:
    """The defences of `rows` in the paper's order, unknown ones last in order of appearance."""
    present = [str(name) for name in rows["defence"].unique()]
    known = [name for name in LABELS if name in present]
    return known + [name for name in present if name not in known]


def norms(results: pd.DataFrame) -> list[str]:
    """The norms that budgets were swept in, in order of appearance, which is that of params.yaml."""
    return [str(norm) for norm in results.loc[results["axis"] == "eps", "norm"].unique()]


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


def sweep(
    results: pd.DataFrame, attack: str, axis: str, norm: str, loss: str | None = None, alike: bool = True
) -> pd.DataFrame:
    """The rows of one data set's sweep of `attack` over `axis` in a norm, sorted by value.

    loss: only the rows of attacks with this loss. alike: whether the rows are those of classifiers trained
    with that norm or with none, or of those trained with another norm. Raises `UserError` where `results`
    holds several data sets, has no such rows, or where the defences were not all measured once at the same
    values.
    """
    dataset = only(results, "dataset")
    measured = results[results["axis"].isin(AXES) & (results["norm"] == norm)]
    own = same_norm(measured)
    measured = own if alike else measured.drop(own.index)
    rows = measured[(measured["attack"] == attack) & (measured["axis"] == axis)]
    rows = rows.sort_values("value", kind="stable")
    if loss is not None:
        rows = rows[rows["loss"] == loss]
    if rows.empty:
        raise UserError(
            f"results: no rows of attack {attack} over the axis {axis} in {norm} for data set {dataset}"
        )
    _check_grids(rows, defences(measured), f"{attack} over {axis} in {norm} on {dataset}")
    return rows


def jsma(results: pd.DataFrame, norm: str | None = None) -> pd.DataFrame:
    """JSMA's rows sorted by share: of all classifiers, or of those trained with `norm` or with none."""
    rows = results[(results["attack"] == "jsma") & (results["axis"] == "share")]
    if norm is not None:
        rows = rows[rows["trained_norm"].isin(("none", norm))]
    return rows.sort_values("value", kind="stable")


def _check_grids(rows: pd.DataFrame, expected: list[str], name: str) -> None:
    grids = {defence: tuple(rows.loc[rows["defence"] == defence, "value"]) for defence in expected}
    longest = max(grids.values(), key=len)
    for defence, grid in grids.items():
        if grid != longest or len(set(grid)) != len(grid):
            raise UserError(
                f"results: {name} has the values {_listed(grid)} for {defence}, "
                f"expected each of {_listed(tuple(sorted(set(longest))))} once"
            )


def _listed(values: tuple[float, ...]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"
