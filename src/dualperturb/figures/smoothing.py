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
from dualperturb.figures.texts import images, interval_text, row_budgets_text
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


def certificates(results: pd.DataFrame, *axes: str) -> pd.DataFrame:
    """The certified accuracies over the L2 radius, or over `axes`, sorted by it: certified_eps_b, and
    eps_b_out_of_reach, which no number of votes certifies."""
    rows = results[(results["attack"] == "certificate") & results["axis"].isin(axes or ("radius",))]
    return rows.sort_values("value", kind="stable")


def smoothing_attacks(results: pd.DataFrame) -> pd.DataFrame:
    """The smoothed classifier's accuracies under attacks, in the table's order."""
    return results[results["axis"] == "smoothing"]


def smoothing_panels(results: pd.DataFrame, style: Style) -> Figure:
    """Certified accuracy over the L2 radius, and for two budgets, if any are in reach, over that of the
    background.

    Accuracy under PGD and under dual stands beside it as a point at the attack's own budget. Radii apply to
    pixels in [0, 1] at the size of the images attacked, budgets are at the paper's scale. Raises `UserError`
    where nothing was certified.
    """
    radii, budgets = certificates(results), certificates(results, "certified_eps_b")
    if radii.empty:
        raise UserError("results: no certified accuracy (attack certificate over the axis radius)")
    attacked = smoothing_attacks(results)
    attacked = attacked[attacked["norm"] == "L2"]
    pgd = attacked[attacked["attack"] == "pgd"]
    with house_style():
        figure = new_figure(style.width_inches, 0.42 * style.width_inches, style)
        left, right = figure.subplots(1, 2, sharey=True)
        _curves(left, radii, pgd, pgd["eps_f_spent"], style)
        left.set_title("(a) one budget")
        left.set_xlabel("radius\n($L_2$, pixels in [0, 1])")
        left.set_ylabel("accuracy (%)")
        whole_percent(left)
        legend(figure, left)
        if budgets.empty:
            right.remove()
        else:
            _two_budget_curves(right, budgets, attacked[attacked["attack"] == "dual"], style)
    return figure


def _two_budget_curves(axes: Axes, budgets: pd.DataFrame, dual: pd.DataFrame, style: Style) -> None:
    eps_f = constant(budgets, "eps_f")
    dual = dual[dual["eps_f"] == eps_f]
    _curves(axes, budgets, dual, dual["eps_b"], style)
    axes.set_title(rf"(b) two budgets, $\epsilon_f$ = {eps_f:g}")
    axes.set_xlabel(f"background budget $\\epsilon_b$\n({UNITS['L2']})")


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
        "background. (a) Over the L2 radius in pixels in [0, 1]: whatever the classifier, none can exceed "
        f"sigma * Phi^-1(alpha^(1/{certificate.samples})), with the lower one of two sigmas: "
        f"{_largest_radii(certificate)}. "
        f"{_two_budgets(results)} With noise by region the mask belongs to the classifier: its certificate "
        f"is sound only for masks that no perturbation can move, here {_MASKS[certificate.mask]}."
    )
    attacked = [
        f"{ATTACKS[str(row['attack'])]} with {row_budgets_text(row)} {interval_text(row)}"
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
    """When two budgets are certified, each classifier's share at its largest background budget in reach, and
    the budgets out of reach."""
    rows, beyond = certificates(results, "certified_eps_b"), certificates(results, "eps_b_out_of_reach")
    shares = [
        f"{label(name)} {interval_text(own.iloc[-1])} at {row_budgets_text(own.iloc[-1])}"
        for name, own in _by_defence(rows)
    ]
    out_of_reach = [
        f"{label(name)}, eps_b = {', '.join(f'{value:g}' for value in own['value'])}"
        for name, own in _by_defence(beyond)
    ]
    text = (
        "(b) For two budgets, at the paper's scale, where (eps_f / sigma_f)^2 + (eps_b / sigma_b)^2 < "
        "Phi^-1(p)^2, p being the bound on the probability of an image's class; with one sigma that is where "
        "the radius exceeds the root of eps_f^2 + eps_b^2."
    )
    text += f" Certified at the largest budgets shown: {'; '.join(shares)}." if shares else ""
    if out_of_reach:
        text += (
            " Out of reach, since no radius can be so large, and not shown: "
            f"{'; '.join(out_of_reach)} (eps_f = {constant(beyond, 'eps_f'):g})."
        )
    return text


def _by_defence(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(name, rows[rows["defence"] == name]) for name in defences(rows)]


def _largest_radii(certificate: Certificate) -> str:
    """Each classifier's bound, with the radii that were asked for in vain, if any."""
    texts = []
    for defence, largest in certificate.largest_radii.items():
        above = ", ".join(f"{radius:g}" for radius in certificate.left_out[defence])
        texts.append(
            f"{label(defence)} {largest:.3f}" + (f" (above it and so not shown: {above})" if above else "")
        )
    return ", ".join(texts)


def _rows(results: pd.DataFrame) -> pd.DataFrame:
    """The results' rows in the table's order."""
    budgets = certificates(results, "certified_eps_b", "eps_b_out_of_reach")
    return pd.concat([certificates(results), budgets, smoothing_attacks(results)])


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
        accuracy = "out of reach" if row["axis"] == "eps_b_out_of_reach" else interval_text(row)
        named = {"classifier": label(str(row["defence"])), "outcome": what}
        shown.append(named | {"accuracy": accuracy, "n": int(row["n"])})
    return pd.DataFrame(shown)
