"""Unsuspicious adversarial accuracy over the bound on the foreground score (ours): a plot for each attack."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from dualperturb.evaluation.tables import HIGH
from dualperturb.figures.curves import legend, lines, value_axis, whole_percent
from dualperturb.figures.names import ATTACKS, NORM_NAMES, label
from dualperturb.figures.panel import Panel
from dualperturb.figures.style import Style, house_style, new_figure
from dualperturb.figures.sweeps import constant, defences, norms, only
from dualperturb.figures.texts import budgets_text, images_text, interval_text, names_text, ordered
from dualperturb.params import Figures

DRAWN = ("pgd", "dual", "sum", "constrained")  # the attacks, from left to right
_SHOWN = (0.0, 0.5, 0.7, HIGH, 1.0)  # the bounds of the table


def panels(results: pd.DataFrame, chosen: Figures) -> list[Panel]:
    """One panel for each norm in which the attacks were judged, whatever is `chosen`."""
    measured = set(results.loc[results["axis"] == "bound", "norm"])
    return [_panel(norm) for norm in norms(results) if norm in measured]


def _panel(norm: str) -> Panel:
    return Panel(
        stem=f"unsuspicious_{norm}",
        number="Our figure",
        name=f"unsuspicious adversarial accuracy over the bound, {NORM_NAMES[norm]}",
        draw=lambda given: unsuspicious_panels(given.results, norm, given.style),
        caption=lambda given: unsuspicious_caption(given.results, norm) + given.score_note,
        table=lambda given: bound_table(given.results, norm),
        rows=lambda given: bound_rows(given.results, norm),
        in_comment=True,
    )


def bound_rows(results: pd.DataFrame, norm: str) -> pd.DataFrame:
    """The rows of one norm, sorted by bound."""
    rows = results[(results["axis"] == "bound") & (results["norm"] == norm)]
    return rows.sort_values("value", kind="stable")


def unsuspicious_panels(results: pd.DataFrame, norm: str, style: Style) -> Figure:
    """The share of images without an example that fools and keeps a foreground score of at least the bound.

    One plot per attack, one line per classifier trained with that norm or with none.
    """
    rows = bound_rows(results, norm)
    attacks = [name for name in DRAWN if name in set(rows["attack"])]
    with house_style():
        figure = new_figure(style.width_inches, 0.4 * style.width_inches, style)
        plots = figure.subplots(1, len(attacks), sharey=True, squeeze=False)[0]
        for axes, attack, letter in zip(plots, attacks, "abcd", strict=False):
            own = rows[rows["attack"] == attack]
            lines(axes, own, "accuracy", own["value"], style, percent=True, markers=False)
            value_axis(axes, "bound", own["value"], style)
            axes.set_title(f"({letter}) {ATTACKS[attack]}")
            axes.set_xlabel("bound on the\nforeground score")
        plots[0].set_ylabel("unsuspicious adversarial\naccuracy (%)")
        whole_percent(plots[0])
        legend(figure, plots[0])
    return figure


def unsuspicious_caption(results: pd.DataFrame, norm: str) -> str:
    """What counts as unsuspicious, the attacks and their budgets, and what is left at a bound of 0.9."""
    rows = bound_rows(results, norm)
    dual, summed = rows[rows["attack"] == "dual"], rows[rows["attack"] == "sum"]
    kinds = ["plain"]
    if not summed.empty:
        kinds.append(f"by the paper's sum (weight {constant(summed, 'salience_weight'):g})")
    if (rows["attack"] == "constrained").any():
        kinds.append("constrained (at each bound the best of several runs)")
    left = rows[(rows["attack"] == "any") & (rows["value"] == HIGH)]
    shares = [f"{label(str(row['defence']))} {interval_text(row)}" for _, row in ordered(left).iterrows()]
    return (
        f"Unsuspicious adversarial accuracy of {names_text(rows)}: the share of images of which the attack "
        "has no example that fools and has a foreground score of at least the bound, under the model "
        f"{only(rows, 'judge')}. At 0 that under PGD and dual is adversarial accuracy. PGD has eps_f for the "
        f"whole image; dual with {budgets_text(norm, constant(dual, 'eps_f'), constant(dual, 'eps_b'))}: "
        f"{', '.join(kinds)}. Bands are 95 % Wilson intervals, {images_text(rows)}. Left at a bound of "
        f"{HIGH:g} by all attacks together: {'; '.join(shares)}."
    )


def bound_table(results: pd.DataFrame, norm: str) -> pd.DataFrame:
    """One row per attack and classifier, a column for each of a few bounds."""
    rows = bound_rows(results, norm)
    table = []
    for attack in rows["attack"].unique():
        for defence in defences(rows):
            own = rows[(rows["attack"] == attack) & (rows["defence"] == defence)].set_index("value")
            cells = {f"S ≥ {bound:g}": interval_text(own.loc[bound]) for bound in _SHOWN}
            n = int(own["n"].iloc[0])
            table.append({"attack": ATTACKS[str(attack)], "classifier": label(defence), **cells, "n": n})
    return pd.DataFrame(table)
