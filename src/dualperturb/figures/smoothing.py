"""Randomized smoothing (appendix J): certified accuracy over the radius, accuracy under PGD beside it."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from dualperturb.errors import UserError
from dualperturb.figures.curves import legend, lines, value_axis, whole_percent
from dualperturb.figures.names import ATTACKS
from dualperturb.figures.panel import Certificate, Panel
from dualperturb.figures.style import Style, house_style, line_cues, new_figure
from dualperturb.figures.texts import images, interval_text, row_budgets_text
from dualperturb.params import Figures


def panels(results: pd.DataFrame, chosen: Figures) -> list[Panel]:
    """One panel if a radius was certified."""
    panel = Panel(
        stem="smoothing",
        number="Appendix J",
        name="randomized smoothing",
        draw=lambda given: smoothing_panel(given.results, given.style),
        caption=lambda given: smoothing_caption(given.results, given.certificate),
        table=lambda given: smoothing_table(given.results),
        rows=lambda given: pd.concat([certificates(given.results), smoothing_attacks(given.results)]),
        in_comment=True,
    )
    return [] if certificates(results).empty else [panel]


def certificates(results: pd.DataFrame) -> pd.DataFrame:
    """The certified accuracies, sorted by radius."""
    rows = results[(results["attack"] == "certificate") & (results["axis"] == "radius")]
    return rows.sort_values("value", kind="stable")


def smoothing_attacks(results: pd.DataFrame) -> pd.DataFrame:
    """The smoothed classifier's accuracies under attacks, in the table's order."""
    return results[(results["defence"] == "smoothing") & (results["axis"] == "smoothing")]


def smoothing_panel(results: pd.DataFrame, style: Style) -> Figure:
    """Certified accuracy over the L2 radius, and accuracy under PGD as a point at PGD's own radius.

    Both radii apply to pixels in [0, 1] at the size of the images attacked, not at the paper's scale. Raises
    `UserError` where nothing was certified.
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


def smoothing_caption(results: pd.DataFrame, certificate: Certificate) -> str:
    """Appendix J: certificate and attacks, and the radius that no certificate can exceed."""
    rows = certificates(results)
    attacked = [
        f"{ATTACKS[str(row['attack'])]} with {row_budgets_text(row)} {100 * row['accuracy']:.1f} %"
        for _, row in smoothing_attacks(results).iterrows()
    ]
    text = (
        f"Randomized smoothing with noise of sigma = {certificate.sigma:g}: share of "
        f"{images(int(rows['n'].iloc[0]))} classified rightly and certified over the L2 radius in "
        f"pixels in [0, 1] (alpha = {certificate.alpha:g}, {certificate.samples} noisy copies an image). "
        f"No radius can exceed sigma * Phi^-1(alpha^(1/{certificate.samples})) = "
        f"{certificate.largest_radius:.3f}, "
        f"whatever the classifier{_left_out(certificate)}."
    )
    if attacked:
        text += (
            " Accuracy under attacks that climb the expectation over noise, each image's class by "
            f"{certificate.prediction_samples} noisy copies: {'; '.join(attacked)}; a prediction that was "
            "abstained from counts as wrong."
        )
    return text


def _left_out(certificate: Certificate) -> str:
    """The radii that were asked for in vain, if any."""
    above = ", ".join(f"{radius:g}" for radius in certificate.left_out)
    return f"; above it and so not shown: {above}" if above else ""


def smoothing_table(results: pd.DataFrame) -> pd.DataFrame:
    """Certified accuracy at each radius, then the accuracy under each attack."""
    shown = [
        {"smoothed classifier": f"certified at radius {row['value']:g}", "accuracy": interval_text(row)}
        | {"n": int(row["n"])}
        for _, row in certificates(results).iterrows()
    ]
    for _, row in smoothing_attacks(results).iterrows():
        name = f"under {ATTACKS[str(row['attack'])]}, {row_budgets_text(row)}"
        shown.append({"smoothed classifier": name, "accuracy": interval_text(row), "n": int(row["n"])})
    return pd.DataFrame(shown)
