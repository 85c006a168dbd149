"""Across norms: classifiers trained with one norm under attacks in another, one row of plots per norm."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualperturb.figures.accuracy import SWEEPS, accuracy_rows, accuracy_table, describe
from dualperturb.figures.curves import lines, thin_lines, whole_percent
from dualperturb.figures.names import NORM_NAMES, label
from dualperturb.figures.panel import Panel
from dualperturb.figures.style import Style, house_style, new_figure
from dualperturb.figures.sweeps import defences, norms, sweep


def panels(results: pd.DataFrame) -> list[Panel]:
    """One panel if budgets were swept in two norms."""
    panel = Panel(
        stem="across",
        number="Fig. 4 and 5, across norms",
        name="classifiers under attacks of the norm they were not trained with",
        draw=lambda given: across_panels(given.results, given.style),
        caption=lambda given: across_caption(given.results),
        table=lambda given: across_table(given.results),
        rows=lambda given: across_rows(given.results),
    )
    return [panel] if len(norms(results)) == 2 else []


def across_panels(results: pd.DataFrame, style: Style) -> Figure:
    """Classifiers trained with one norm under attacks in the other: one row of panels per norm of the attack.

    Thin lines: the classifiers trained with the attack's own norm, and the clean one. Raises what
    `accuracy_panels` raises.
    """
    attacked = norms(results)
    with house_style():
        figure = new_figure(style.width_inches, 0.35 * style.width_inches * len(attacked), style)
        grid = figure.subplots(len(attacked), 3, sharey=True, squeeze=False)
        for line, norm in zip(grid, attacked, strict=True):
            for axes, (attack, axis) in zip(line, SWEEPS, strict=True):
                rows = sweep(results, attack, axis, norm, alike=False)
                lines(axes, rows, "accuracy", rows["value"], style, percent=True)
                thin_lines(
                    axes, sweep(results, attack, axis, norm), style, ", trained with the attack's norm"
                )
                describe(axes, rows, "", style)
            line[0].set_ylabel("adversarial accuracy (%)")
        whole_percent(grid[0, 0])
        _legend(figure, grid[0, 0])
    return figure


def across_caption(results: pd.DataFrame) -> str:
    """Each classifier under attacks of the other norm, at the largest budget of PGD and of eps_b."""
    parts = []
    for norm in norms(results):
        for attack, axis in (("pgd", "eps"), ("dual", "eps_b")):
            rows, alike = (sweep(results, attack, axis, norm, alike=own) for own in (False, True))
            value = float(rows["value"].max())
            compared = [_compared(rows, alike, defence, value) for defence in defences(rows)]
            parts.append(f"{NORM_NAMES[norm]} {attack}, {axis} = {value:g}: {', '.join(compared)}")
    return (
        "Classifiers trained with one norm under attacks in the other; thin, those trained with the attack's "
        "own norm, and the clean one. Accuracy at the largest budgets, with that of the classifier trained "
        f"with the attack's norm in brackets. {'; '.join(parts)}."
    )


def across_table(results: pd.DataFrame) -> pd.DataFrame:
    """`accuracy_table` of the classifiers trained with another norm than that of the attack."""
    tables = []
    for norm in norms(results):
        table = accuracy_table(results, norm, alike=False)
        table.insert(0, "norm", NORM_NAMES[norm])
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def across_rows(results: pd.DataFrame) -> pd.DataFrame:
    """The results' rows behind the figure."""
    return pd.concat([accuracy_rows(results, norm, alike=False) for norm in norms(results)])


def _legend(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    shown = [name.replace("Clean, trained with the attack's norm", "Clean") for name in names]
    figure.legend(handles, shown, loc="outside lower center", ncols=2, frameon=False)


def _compared(rows: pd.DataFrame, alike: pd.DataFrame, defence: str, value: float) -> str:
    shares = [
        100 * float(table.loc[(table["defence"] == defence) & (table["value"] == value), "accuracy"].iloc[0])
        for table in (rows, alike)
    ]
    return f"{label(defence)} {shares[0]:.1f} % ({shares[1]:.1f} %)"
