"""Accuracy over the budgets: Fig. 4 (L2) and 5 (L-infinity, with JSMA), and across norms."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualperturb.figures.curves import UNITS, legend, lines, thin_lines, value_axis, whole_percent
from dualperturb.figures.style import Style, house_style, new_figure
from dualperturb.figures.sweeps import constant, jsma, norms, only, sweep

SWEEPS = (("dual", "eps_f"), ("dual", "eps_b"), ("pgd", "eps"))  # the panels, from left to right
_BUDGETS = {
    "eps_f": r"foreground budget $\epsilon_f$",
    "eps_b": r"background budget $\epsilon_b$",
    "eps": r"budget $\epsilon$",
}


def has_jsma_panel(results: pd.DataFrame, norm: str) -> bool:
    """JSMA, which knows no norm of training, stands beside the sweeps of the last norm (Fig. 5)."""
    return norm == norms(results)[-1] and not jsma(results, norm).empty


def accuracy_panels(results: pd.DataFrame, norm: str, style: Style) -> Figure:
    """Fig. 4 and 5: adversarial accuracy under dual over eps_f, over eps_b, PGD over eps, and maybe JSMA.

    Of the classifiers trained with that norm or with none, one data set. Bands are 95 % intervals.
    Raises `UserError` where a sweep is missing or incomplete.
    """
    swept = [sweep(results, attack, axis, norm) for attack, axis in SWEEPS]
    with_jsma = has_jsma_panel(results, norm)
    with house_style():
        figure = new_figure(style.width_inches, 0.4 * style.width_inches, style)
        panels = figure.subplots(1, 3 + with_jsma, sharey=True)
        for axes, rows, letter in zip(panels, swept, "abc", strict=False):
            lines(axes, rows, "accuracy", rows["value"], style, percent=True)
            _describe(axes, rows, f"({letter}) ", style)
        if with_jsma:
            _jsma_panel(panels[3], jsma(results, norm), style)
        panels[0].set_ylabel("adversarial accuracy (%)")
        whole_percent(panels[0])
        legend(figure, panels[0])
    return figure


def across_panels(results: pd.DataFrame, style: Style) -> Figure:
    """Classifiers trained with one norm under attacks in the other: a row of panels a norm of the attack.

    Thin: the classifiers trained with the attack's own norm, and the clean one. Raises as `accuracy_panels`.
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
                _describe(axes, rows, "", style)
            line[0].set_ylabel("adversarial accuracy (%)")
        whole_percent(grid[0, 0])
        _legend_across(figure, grid[0, 0])
    return figure


def _describe(axes: Axes, rows: pd.DataFrame, letter: str, style: Style) -> None:
    """Title and x axis of the panel of one sweep."""
    axis, norm = only(rows, "axis"), only(rows, "norm")
    title = {
        "eps_f": lambda: rf"dual, $\epsilon_b$ = {constant(rows, 'eps_b'):g}",
        "eps_b": lambda: rf"dual, $\epsilon_f$ = {constant(rows, 'eps_f'):g}",
        "eps": lambda: "PGD, one region",
    }[axis]()
    axes.set_title(letter + title)
    axes.set_xlabel(f"{_BUDGETS[axis]}\n({UNITS[norm]})")
    value_axis(axes, axis, rows["value"], style)


def _jsma_panel(axes: Axes, rows: pd.DataFrame, style: Style) -> None:
    lines(axes, rows, "accuracy", 100 * rows["value"], style, percent=True)
    axes.set_title("(d) JSMA, one region")
    axes.set_xlabel("pixels changed (%)\n($L_0$)")
    value_axis(axes, "share", 100 * rows["value"], style)


def _legend_across(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    shown = [name.replace("Clean, trained with the attack's norm", "Clean") for name in names]
    figure.legend(handles, shown, loc="outside lower center", ncols=2, frameon=False)
