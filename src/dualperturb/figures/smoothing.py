"""Randomized smoothing (appendix J): certified accuracy over the radius, accuracy under PGD beside it."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from dualperturb.errors import UserError
from dualperturb.figures.curves import legend, lines, value_axis, whole_percent
from dualperturb.figures.style import Style, house_style, line_cues, new_figure


def certificates(results: pd.DataFrame) -> pd.DataFrame:
    """The certified accuracies, sorted by radius."""
    rows = results[(results["attack"] == "certificate") & (results["axis"] == "radius")]
    return rows.sort_values("value", kind="stable")


def smoothing_attacks(results: pd.DataFrame) -> pd.DataFrame:
    """The smoothed classifier's accuracies under attacks, in the table's order."""
    return results[(results["defence"] == "smoothing") & (results["axis"] == "smoothing")]


def smoothing_panel(results: pd.DataFrame, style: Style) -> Figure:
    """Certified accuracy over the L2 radius, and as a point the accuracy under PGD of such a radius.

    Both in pixels in [0, 1] at the size of the images attacked: no scale of the paper. Raises `UserError`
    where nothing was certified.
    """
    rows = certificates(results)
    if rows.empty:
        raise UserError("results: no certified accuracy (attack certificate over the axis radius)")
    attacked = smoothing_attacks(results)
    points = attacked[(attacked["attack"] == "pgd") & (attacked["norm"] == "L2")]
    with house_style():
        figure = new_figure(0.55 * style.width_inches, 0.42 * style.width_inches, style)
        axes = figure.subplots()
        lines(axes, rows, "accuracy", rows["value"], style, percent=True)
        axes.get_lines()[0].set_label("certified")
        for _, point in points.iterrows():
            share = 100 * point["accuracy"]
            error = [[share - 100 * point["accuracy_low"]], [100 * point["accuracy_high"] - share]]
            cues = line_cues("smoothing", style) | {"marker": "X", "markersize": 7, "linestyle": ""}
            place = [point["eps_f_spent"]]
            axes.errorbar(place, [share], error, label="under PGD", capsize=2, clip_on=False, **cues)
        radii = pd.concat([rows["value"], points["eps_f_spent"]])
        value_axis(axes, "radius", radii, style)
        axes.set_xlabel("radius\n($L_2$, pixels in [0, 1])")
        axes.set_ylabel("accuracy (%)")
        whole_percent(axes)
        legend(figure, axes)
    return figure
