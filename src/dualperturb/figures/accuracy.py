"""Accuracy over the budgets: one figure per norm, Fig. 4 (L2) and 5 (L-infinity, with JSMA)."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualperturb.core.budgets import NORMS
from dualperturb.figures.curves import UNITS, legend, lines, value_axis, whole_percent
from dualperturb.figures.names import NORM_NAMES, label
from dualperturb.figures.panel import Panel
from dualperturb.figures.style import Style, house_style, new_figure
from dualperturb.figures.sweeps import constant, defences, jsma, norms, only, sweep
from dualperturb.figures.texts import images_text, interval_text, names_text, ordered, salience_note

SWEEPS = (("dual", "eps_f"), ("dual", "eps_b"), ("pgd", "eps"))  # the plots, from left to right
_BUDGETS = {
    "eps_f": r"foreground budget $\epsilon_f$",
    "eps_b": r"background budget $\epsilon_b$",
    "eps": r"budget $\epsilon$",
}


def panels(results: pd.DataFrame) -> list[Panel]:
    """One panel for each norm in which budgets were swept."""
    return [_panel(norm) for norm in norms(results)]


def _panel(norm: str) -> Panel:
    return Panel(
        stem=f"accuracy_{norm}",
        number=NORMS[norm].figure,
        name=f"adversarial accuracy over the budgets, {NORM_NAMES[norm]}",
        draw=lambda given: accuracy_panels(given.results, norm, given.style),
        caption=lambda given: accuracy_caption(given.results, norm),
        table=lambda given: accuracy_table(given.results, norm),
        rows=lambda given: accuracy_rows(given.results, norm),
        in_comment=True,
    )


def has_jsma_panel(results: pd.DataFrame, norm: str) -> bool:
    """Whether the norm's figure shows JSMA, which belongs to no norm: only the last norm's does (Fig. 5)."""
    return norm == norms(results)[-1] and not jsma(results, norm).empty


def accuracy_panels(results: pd.DataFrame, norm: str, style: Style) -> Figure:
    """Fig. 4 and 5: adversarial accuracy under dual over eps_f and eps_b, PGD over eps, and JSMA if measured.

    Shows one data set's classifiers that were trained with that norm or with none. Bands are 95 % intervals.
    Raises `UserError` where a sweep is missing or incomplete.
    """
    swept = [sweep(results, attack, axis, norm) for attack, axis in SWEEPS]
    with_jsma = has_jsma_panel(results, norm)
    with house_style():
        figure = new_figure(style.width_inches, 0.4 * style.width_inches, style)
        panels = figure.subplots(1, 3 + with_jsma, sharey=True)
        for axes, rows, letter in zip(panels, swept, "abc", strict=False):
            lines(axes, rows, "accuracy", rows["value"], style, percent=True)
            describe(axes, rows, f"({letter}) ", style)
        if with_jsma:
            _jsma_panel(panels[3], jsma(results, norm), style)
        panels[0].set_ylabel("adversarial accuracy (%)")
        whole_percent(panels[0])
        legend(figure, panels[0])
    return figure


def accuracy_caption(results: pd.DataFrame, norm: str) -> str:
    """Fig. 4 and 5: the sweeps, n, and AT-Dual against AT-PGD on each where both were measured."""
    by_foreground, by_background, whole = (sweep(results, attack, axis, norm) for attack, axis in SWEEPS)
    dual = pd.concat([by_foreground, by_background])
    text = (
        f"Adversarial accuracy of {names_text(whole)} in the {NORM_NAMES[norm]} norm: "
        f"(a) dual over the foreground budget, eps_b = {constant(by_foreground, 'eps_b'):g}; "
        f"(b) dual over the background budget, eps_f = {constant(by_background, 'eps_f'):g}; "
        f"(c) PGD over one budget for the whole image. "
        f"Salience weight of dual: {constant(dual, 'salience_weight'):g}.{salience_note(dual)} "
        f"{images_text(pd.concat([dual, whole]))}; bands are 95 % Wilson intervals."
    )
    if has_jsma_panel(results, norm):
        text += " " + _jsma_text(jsma(results, norm))
    if {"at_pgd", "at_dual"} <= set(defences(whole)):
        text += "".join(" " + _lead(rows) for rows in (by_foreground, by_background, whole))
    return text


def accuracy_table(results: pd.DataFrame, norm: str, alike: bool = True) -> pd.DataFrame:
    """A row per point of the sweeps, a column per classifier; budgets at the paper's scale and as spent."""
    swept = [sweep(results, attack, axis, norm, alike=alike) for attack, axis in SWEEPS]
    return pd.concat([_points(rows, named=not alike) for rows in swept], ignore_index=True)


def accuracy_rows(results: pd.DataFrame, norm: str, alike: bool = True) -> pd.DataFrame:
    """The results' rows behind a norm's panels."""
    rows = [sweep(results, attack, axis, norm, alike=alike) for attack, axis in SWEEPS]
    if alike and has_jsma_panel(results, norm):
        rows.append(jsma(results))
    return pd.concat(rows)


def describe(axes: Axes, rows: pd.DataFrame, letter: str, style: Style) -> None:
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


def _jsma_text(rows: pd.DataFrame) -> str:
    most = float(rows["value"].max())
    left = [
        f"{label(str(row['defence']))} {100 * row['accuracy']:.1f} %"
        for _, row in ordered(rows[rows["value"] == most]).iterrows()
    ]
    return (
        f"(d) JSMA over the share of the pixels it may change, {images_text(rows)}; accuracy at "
        f"{100 * most:g} %: {', '.join(left)}."
    )


def _lead(rows: pd.DataFrame) -> str:
    """AT-Dual's largest lead over AT-PGD on a sweep, with both numbers, or that it has none."""
    dual, pgd = rows[rows["defence"] == "at_dual"], rows[rows["defence"] == "at_pgd"]
    lead = 100 * (dual["accuracy"].to_numpy() - pgd["accuracy"].to_numpy())
    axis, best = only(rows, "axis"), int(lead.argmax())
    if lead[best] <= 0:
        return f"AT-Dual is nowhere above AT-PGD on the {axis} sweep."
    apart = dual["accuracy_low"].iloc[best] > pgd["accuracy_high"].iloc[best]
    return (
        f"AT-Dual's largest lead over AT-PGD on the {axis} sweep: {lead[best]:.1f} points "
        f"at {axis} = {dual['value'].iloc[best]:g} ({'intervals apart' if apart else 'intervals overlap'})."
    )


def _points(rows: pd.DataFrame, named: bool) -> pd.DataFrame:
    """named: whether the classifiers' headings give the norm of their training."""
    first = rows[rows["defence"] == defences(rows)[0]]
    table = pd.DataFrame(
        {
            "attack": list(first["attack"] + " over " + first["axis"]),
            "eps_f": list(first["eps_f"]),
            "eps_b": list(first["eps_b"]),
            "eps_f spent": list(first["eps_f_spent"]),
            "eps_b spent": list(first["eps_b_spent"]),
        }
    )
    for defence in defences(rows):
        own = rows[rows["defence"] == defence]
        trained = str(own["trained_norm"].iloc[0])
        heading = f"{label(defence)}, trained with {NORM_NAMES[trained]}" if named else label(defence)
        table[heading] = [interval_text(row) for _, row in own.iterrows()]
    table["steps"] = [int(steps) for steps in first["steps"]]
    counts = rows.groupby("value")["n"].unique()
    table["n"] = [" / ".join(str(int(n)) for n in counts[value]) for value in first["value"]]
    return table
