"""Fig. 3: foreground score and accuracy over the salience weight."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualperturb.figures.curves import UNITS, legend, lines, value_axis, whole_percent
from dualperturb.figures.style import Style, house_style, new_figure
from dualperturb.figures.sweeps import constant, only, sweep

OBJECTIVES = {"paper": "(a) the paper's objective", "balanced": "(b) balanced objective (ours)"}


def salience_sweeps(results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows by objective, of the classifiers trained with the norm that was swept.

    Raises `UserError` where the sweep is missing, incomplete or in several norms.
    """
    norm = only(results[results["axis"] == "salience_weight"], "norm")
    return {name: sweep(results, "dual", "salience_weight", norm, name) for name in OBJECTIVES}


def clean_score(results: pd.DataFrame, norm: str) -> float:
    """The mean foreground score of the same images without attack: PGD with a budget of 0."""
    rows = sweep(results, "pgd", "eps", norm)
    return float(rows.loc[rows["value"] == 0, "foreground_score"].iloc[0])


def salience_panels(results: pd.DataFrame, style: Style) -> Figure:
    """Foreground score (above) and adversarial accuracy under dual over the salience weight.

    The paper's objective at the left, the balanced one at the right; the clean images' score as a thin line.
    The weights stand at equal distances, since they hold 0 and span orders of magnitude, or on a logarithmic
    axis where `style.log_axes` names salience_weight.
    """
    by_objective = salience_sweeps(results)
    rows = pd.concat(by_objective.values())
    clean = clean_score(results, only(rows, "norm"))
    with house_style():
        figure = new_figure(style.width_inches, 0.62 * style.width_inches, style)
        panels = figure.subplots(2, len(by_objective), sharex=True, sharey="row")
        for column, name in zip(panels.T, by_objective, strict=True):
            _panels(column, by_objective[name], clean, style)
            column[0].set_title(OBJECTIVES[name])
        _score_limits(panels[0, 0], rows, clean)
        panels[0, 0].set_ylabel("foreground score")
        whole_percent(panels[1, 0])
        panels[1, 0].set_ylabel("adversarial accuracy (%)")
        figure.suptitle(_threat_model(rows), fontsize=8.5)
        legend(figure, panels[0, 0])
    return figure


def _panels(column: list[Axes], rows: pd.DataFrame, clean: float, style: Style) -> None:
    """Score and accuracy of one objective."""
    above, below = column
    weights = sorted(rows["value"].unique())
    logarithmic = "salience_weight" in style.log_axes
    places = rows["value"] if logarithmic else rows["value"].map(weights.index)
    lines(above, rows, "foreground_score", places, style)
    above.axhline(clean, color="#444444", linewidth=0.8, linestyle=(0, (4, 3)), label="clean images")
    lines(below, rows, "accuracy", places, style, percent=True)
    if logarithmic:
        value_axis(below, "salience_weight", rows["value"], style)
        below.set_xlabel("salience weight")
    else:
        below.set_xticks(range(len(weights)), [f"{weight:g}" for weight in weights])
        below.set_xlabel("salience weight (equal steps, no scale)")


def _threat_model(rows: pd.DataFrame) -> str:
    eps_f, eps_b = constant(rows, "eps_f"), constant(rows, "eps_b")
    return rf"dual, $\epsilon_f$ = {eps_f:g}, $\epsilon_b$ = {eps_b:g} ({UNITS[only(rows, 'norm')]})"


def _score_limits(axes: Axes, rows: pd.DataFrame, clean: float) -> None:
    """Room around the bands, at least 0.1 in all, so that a flat line is not blown up into a slope."""
    low = min(float(rows["foreground_score_low"].min()), clean)
    high = max(float(rows["foreground_score_high"].max()), clean)
    room = max(0.1 * (high - low), (0.1 - (high - low)) / 2)
    axes.set_ylim(max(low - room, 0.0), min(high + room, 1.0))
