"""Randomized smoothing (appendix J): accuracy certified for one budget and for two, and that under attack."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualperturb.errors import UserError
from dualperturb.figures.curves import UNITS, legend, lines, value_axis, whole_percent
from dualperturb.figures.names import ATTACKS, label
from dualperturb.figures.panel import Certificate, Panel
from dualperturb.figures.style import Style, house_style, line_cues, new_figure
from dualperturb.figures.sweeps import constant, defences
from dualperturb.figures.texts import budgets_text, images, interval_text, row_budgets_text
from dualperturb.params import Figures

_MASKS = {
    "given": "those that come with the images. The noise shows their outlines to the classifier, which may "
    "tell the class by them alone",
    "center": "a disc in the middle, the same for all images, whatever the masks of the attacks",
}


def panels(results: pd.DataFrame, chosen: Figures) -> list[Panel]:
    """One panel if a radius was certified."""
    panel = Panel(
        stem="smoothing",
        number="Appendix J",
        name="randomized smoothing",
        draw=lambda given: smoothing_panels(given.results, given.style),
        caption=lambda given: smoothing_caption(given.results, given.certificate),
        table=lambda given: smoothing_table(given.results),
        rows=lambda given: _rows(given.results),
        in_comment=True,
    )
    return [] if certificates(results).empty else [panel]


def certificates(results: pd.DataFrame, axis: str = "radius") -> pd.DataFrame:
    """The certified accuracies over the L2 radius, or over certified_eps_b, sorted by it."""
    rows = results[(results["attack"] == "certificate") & (results["axis"] == axis)]
    return rows.sort_values("value", kind="stable")


def smoothing_attacks(results: pd.DataFrame) -> pd.DataFrame:
    """The smoothed classifier's accuracies under attacks, in the table's order."""
    return results[results["axis"] == "smoothing"]


def smoothing_panels(results: pd.DataFrame, style: Style) -> Figure:
    """Certified accuracy over the L2 radius, and for two budgets over that of the background.

    Accuracy under PGD and under dual stands beside it as a point at the attack's own budget. Radii apply to
    pixels in [0, 1] at the size of the images attacked, budgets are at the paper's scale. Raises `UserError`
    where nothing was certified.
    """
    radii, budgets = certificates(results), certificates(results, "certified_eps_b")
    if radii.empty or budgets.empty:
        raise UserError("results: no certified accuracy (attack certificate over the axis radius)")
    eps_f, attacked = constant(budgets, "eps_f"), smoothing_attacks(results)
    attacked = attacked[attacked["norm"] == "L2"]
    pgd = attacked[attacked["attack"] == "pgd"]
    dual = attacked[(attacked["attack"] == "dual") & (attacked["eps_f"] == eps_f)]
    with house_style():
        figure = new_figure(style.width_inches, 0.42 * style.width_inches, style)
        left, right = figure.subplots(1, 2, sharey=True)
        _curves(left, radii, pgd, pgd["eps_f_spent"], style)
        _curves(right, budgets, dual, dual["eps_b"], style)
        left.set_title("(a) one budget")
        left.set_xlabel("radius\n($L_2$, pixels in [0, 1])")
        left.set_ylabel("accuracy (%)")
        right.set_title(rf"(b) two budgets, $\epsilon_f$ = {eps_f:g}")
        right.set_xlabel(f"background budget $\\epsilon_b$\n({UNITS['L2']})")
        whole_percent(left)
        legend(figure, right)
    return figure


def _curves(axes: Axes, rows: pd.DataFrame, attacked: pd.DataFrame, places: pd.Series, style: Style) -> None:
    """Certified accuracy, and that under an attack as points with their intervals at `places`."""
    lines(axes, rows, "accuracy", rows["value"], style, percent=True)
    for line, defence in zip(axes.get_lines(), defences(rows), strict=True):
        line.set_label(f"{label(defence)}, certified")
    for place, (_, point) in zip(places, attacked.iterrows(), strict=True):
        share = 100 * point["accuracy"]
        error = [[share - 100 * point["accuracy_low"]], [100 * point["accuracy_high"] - share]]
        cues = line_cues(str(point["defence"]), style) | {"marker": "X", "markersize": 7, "linestyle": ""}
        name = f"{label(str(point['defence']))}, under attack"
        axes.errorbar([place], [share], error, label=name, capsize=2, clip_on=False, **cues)
    axis = "radius" if (rows["axis"] == "radius").all() else "eps_b"
    value_axis(axes, axis, pd.concat([rows["value"], places]), style)


def smoothing_caption(results: pd.DataFrame, certificate: Certificate) -> str:
    """Appendix J: both certificates, the radius that none can exceed, when they are sound, and attacks."""
    rows = certificates(results)
    text = (
        f"Randomized smoothing: share of {images(int(rows['n'].iloc[0]))} classified rightly and certified "
        f"(alpha = {certificate.alpha:g}, {certificate.samples} noisy copies an image). "
        f"{label('smoothing')}: noise of sigma = {certificate.sigma:g}; {label('smoothing_dual')}: "
        f"sigma_f = {certificate.sigma_f:g} in the foreground, sigma_b = {certificate.sigma_b:g} in the "
        "background. (a) Over the L2 radius in pixels in [0, 1]: no radius can exceed "
        f"sigma * Phi^-1(alpha^(1/{certificate.samples})) = {certificate.largest_radius:.3f}, "
        f"whatever the classifier{_left_out(certificate)}; of two sigmas the lower one counts. "
        f"{_two_budgets(results)} With noise by region the mask belongs to the classifier: its certificate "
        f"is sound only for masks that no perturbation can move, here {_MASKS[certificate.mask]}."
    )
    attacked = [
        f"{ATTACKS[str(row['attack'])]} with {row_budgets_text(row)} {100 * row['accuracy']:.1f} %"
        for _, row in smoothing_attacks(results).iterrows()
    ]
    if attacked:
        text += (
            f" Accuracy of {label('smoothing')} under attacks that climb the expectation over noise, each "
            f"image's class by {certificate.prediction_samples} noisy copies: {'; '.join(attacked)}; a "
            "prediction that was abstained from counts as wrong."
        )
    return text


def _two_budgets(results: pd.DataFrame) -> str:
    """When two budgets are certified, and the share at the largest background budget."""
    rows = certificates(results, "certified_eps_b")
    most, eps_f = float(rows["value"].max()), constant(rows, "eps_f")
    shares = [
        f"{label(str(row['defence']))} {interval_text(row)}"
        for _, row in rows[rows["value"] == most].iterrows()
    ]
    return (
        "(b) For two budgets, at the paper's scale, where (eps_f / sigma_f)^2 + (eps_b / sigma_b)^2 < "
        "Phi^-1(p)^2, p being the bound on the probability of an image's class; with one sigma that is where "
        f"the radius exceeds the root of eps_f^2 + eps_b^2. At {budgets_text('L2', eps_f, most)}: "
        f"{', '.join(shares)}."
    )


def _left_out(certificate: Certificate) -> str:
    """The radii that were asked for in vain, if any."""
    above = ", ".join(f"{radius:g}" for radius in certificate.left_out)
    return f"; above it and so not shown: {above}" if above else ""


def _rows(results: pd.DataFrame) -> pd.DataFrame:
    """The results' rows in the table's order."""
    certified = [certificates(results), certificates(results, "certified_eps_b")]
    return pd.concat([*certified, smoothing_attacks(results)])


def smoothing_table(results: pd.DataFrame) -> pd.DataFrame:
    """Certified accuracy at each radius and at each pair of budgets, then the accuracy under each attack."""
    shown = []
    for _, row in _rows(results).iterrows():
        if row["attack"] != "certificate":
            what = f"under {ATTACKS[str(row['attack'])]}, {row_budgets_text(row)}"
        elif row["axis"] == "radius":
            what = f"certified at radius {row['value']:g}"
        else:
            what = f"certified at {row_budgets_text(row)}"
        named = {"classifier": label(str(row["defence"])), "outcome": what}
        shown.append(named | {"accuracy": interval_text(row), "n": int(row["n"])})
    return pd.DataFrame(shown)
