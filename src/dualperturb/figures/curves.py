"""Figures of numbers: accuracy over the budgets (Fig. 4), score and accuracy over the weight (Fig. 3)."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualperturb.figures.style import Style, house_style, line_cues, new_figure
from dualperturb.figures.sweeps import constant, defences, label, only, sweep

_BUDGETS = {
    "eps_f": r"foreground budget $\epsilon_f$",
    "eps_b": r"background budget $\epsilon_b$",
    "eps": r"budget $\epsilon$ of the whole image",
}
OBJECTIVES = {"paper": "(a) the paper's objective", "balanced": "(b) balanced objective (ours)"}
_UNITS = {"L2": r"$L_2$, at 224$\times$224", "Linf": r"$L_\infty$, in 1/255"}


def accuracy_panels(results: pd.DataFrame, style: Style) -> Figure:
    """Fig. 4: adversarial accuracy under dual over eps_f, dual over eps_b and PGD over eps, one data set.

    Bands are the table's 95 % intervals. Raises `UserError` where a sweep is missing or incomplete.
    """
    by_foreground = sweep(results, "dual", "eps_f")
    by_background = sweep(results, "dual", "eps_b")
    by_whole = sweep(results, "pgd", "eps")
    titles = (
        rf"(a) dual, $\epsilon_b$ = {constant(by_foreground, 'eps_b'):g}",
        rf"(b) dual, $\epsilon_f$ = {constant(by_background, 'eps_f'):g}",
        "(c) PGD, one region",
    )
    with house_style():
        figure = new_figure(style.width_inches, 0.4 * style.width_inches, style)
        panels = figure.subplots(1, 3, sharey=True)
        for axes, rows, title in zip(panels, (by_foreground, by_background, by_whole), titles, strict=True):
            _lines(axes, rows, "accuracy", rows["value"], style, percent=True)
            axes.set_title(title)
            axes.set_xlabel(f"{_BUDGETS[only(rows, 'axis')]}\n({_UNITS[only(rows, 'norm')]})")
            axes.set_xlim(left=float(rows["value"].min()))
        panels[0].set_ylabel("adversarial accuracy (%)")
        _whole_percent(panels[0])
        _legend(figure, panels[0])
    return figure


def salience_panels(results: pd.DataFrame, style: Style) -> Figure:
    """Fig. 3: foreground score (above) and adversarial accuracy under dual over the salience weight.

    The paper's objective at the left, the balanced one at the right. The weights stand at equal distances,
    since they hold 0 and span orders of magnitude.
    """
    by_objective = {name: sweep(results, "dual", "salience_weight", name) for name in OBJECTIVES}
    rows = pd.concat(by_objective.values())
    weights = sorted(rows["value"].unique())
    with house_style():
        figure = new_figure(style.width_inches, 0.62 * style.width_inches, style)
        panels = figure.subplots(2, len(by_objective), sharex=True, sharey="row")
        for (above, below), own, title in zip(
            panels.T, by_objective.values(), OBJECTIVES.values(), strict=True
        ):
            places = own["value"].map({weight: place for place, weight in enumerate(weights)})
            _lines(above, own, "foreground_score", places, style)
            above.set_title(title)
            _lines(below, own, "accuracy", places, style, percent=True)
            below.set_xlabel("salience weight (equal steps, no scale)")
        _score_limits(panels[0, 0], rows)
        panels[0, 0].set_ylabel("foreground score")
        _whole_percent(panels[1, 0])
        panels[1, 0].set_ylabel("adversarial accuracy (%)")
        panels[1, 0].set_xticks(range(len(weights)), [f"{weight:g}" for weight in weights])
        figure.suptitle(_threat_model(rows), fontsize=8.5)
        _legend(figure, panels[1, 0])
    return figure


def _lines(
    axes: Axes, rows: pd.DataFrame, measure: str, places: pd.Series, style: Style, percent: bool = False
) -> None:
    """One line with its interval band a defence; `places` are the x positions of `rows`."""
    factor = 100 if percent else 1
    for defence in defences(rows):
        own = rows[rows["defence"] == defence]
        x = places[own.index]
        cues = line_cues(defence, style)
        low, high = own[f"{measure}_low"] * factor, own[f"{measure}_high"] * factor
        axes.fill_between(x, low, high, color=cues["color"], alpha=0.18, linewidth=0)
        # Markers at 0 % and 100 % would lose their half to the frame.
        axes.plot(x, own[measure] * factor, label=label(defence), clip_on=False, zorder=3, **cues)


def _threat_model(rows: pd.DataFrame) -> str:
    eps_f, eps_b = constant(rows, "eps_f"), constant(rows, "eps_b")
    return rf"dual, $\epsilon_f$ = {eps_f:g}, $\epsilon_b$ = {eps_b:g} ({_UNITS[only(rows, 'norm')]})"


def _whole_percent(axes: Axes) -> None:
    axes.set_ylim(0, 100)
    axes.set_yticks(range(0, 101, 20))


def _score_limits(axes: Axes, rows: pd.DataFrame) -> None:
    """Room around the bands, at least 0.1 in all, so that a flat line is not blown up into a slope."""
    low, high = float(rows["foreground_score_low"].min()), float(rows["foreground_score_high"].max())
    room = max(0.1 * (high - low), (0.1 - (high - low)) / 2)
    axes.set_ylim(max(low - room, 0.0), min(high + room, 1.0))


def _legend(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
