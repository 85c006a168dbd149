"""Fig. 4, accuracy over the budgets, and the drawing, caption and table that figures like it share."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualperturb.core.budgets import NORMS
from dualperturb.figures.curves import UNITS, legend, lines, value_axis, whole_percent
from dualperturb.figures.names import NORM_NAMES, label
from dualperturb.figures.panel import Panel, where_in_use
from dualperturb.figures.style import Style, house_style, new_figure
from dualperturb.figures.sweeps import constant, defences, jsma, only, sweep
from dualperturb.figures.texts import (
    bound_note,
    images_text,
    interval_text,
    names_text,
    norms_text,
    ordered,
    salience_note,
)
from dualperturb.params import Figures

SWEEPS = (("dual", "eps_f"), ("dual", "eps_b"), ("pgd", "eps"))  # the plots, from left to right
_BUDGETS = {
    "eps_f": r"foreground budget $\epsilon_f$",
    "eps_b": r"background budget $\epsilon_b$",
    "eps": r"budget $\epsilon$",
}


def panels(results: pd.DataFrame, chosen: Figures) -> list[Panel]:
    """One panel; a line where its norm is not in use."""
    norm = chosen.fig4.norm
    name = f"adversarial accuracy over the budgets, {NORM_NAMES[norm]}"
    panel = accuracy_panel("accuracy", "Fig. 4", name, norm, (norm,))
    return [where_in_use(panel, results, {"fig4.norm": norm})]


def accuracy_panel(
    stem: str, number: str, name: str, norm: str, trained: tuple[str, ...], with_jsma: bool = False
) -> Panel:
    """The panel of classifiers trained with the norms `trained`, or with none, under attacks in `norm`."""
    return Panel(
        stem=stem,
        number=number,
        name=name,
        draw=lambda given: accuracy_panels(given.results, norm, trained, given.style, with_jsma),
        caption=lambda given: accuracy_caption(given.results, norm, trained, with_jsma),
        table=lambda given: accuracy_table(given.results, norm, trained),
        rows=lambda given: accuracy_rows(given.results, norm, trained, with_jsma),
        in_comment=True,
    )


def accuracy_panels(
    results: pd.DataFrame, norm: str, trained: tuple[str, ...], style: Style, with_jsma: bool = False
) -> Figure:
    """Adversarial accuracy under dual over eps_f and eps_b, PGD over eps, and JSMA, which belongs to no norm.

    A row of plots for each norm of `trained`, with one data set's classifiers that were trained with that
    norm or with none; norm: that of the attacks. Bands are 95 % intervals. Raises `UserError` where a sweep
    is missing or incomplete.
    """
    with house_style():
        figure = new_figure(style.width_inches, 0.4 * style.width_inches * len(trained), style)
        grid = figure.subplots(len(trained), 3 + with_jsma, sharey=True, squeeze=False)
        for row, own in zip(grid, trained, strict=True):
            for axes, rows, letter in zip(row, _swept(results, norm, own), "abc", strict=False):
                lines(axes, rows, "accuracy", rows["value"], style, percent=True)
                _describe(axes, rows, f"({letter}) ", style)
            if with_jsma:
                _jsma_panel(row[3], jsma(results, own), style)
            with_norm = "" if trained == (norm,) else f"trained with {NORMS[own].symbol}\n"
            row[0].set_ylabel(f"{with_norm}adversarial accuracy (%)")
        whole_percent(grid[0, 0])
        legend(figure, grid[0, 0])
    return figure


def accuracy_caption(
    results: pd.DataFrame, norm: str, trained: tuple[str, ...], with_jsma: bool = False
) -> str:
    """The sweeps, n, and what JSMA leaves; which classifier is better, the claims judge."""
    swept = [_swept(results, norm, own) for own in trained]
    by_foreground, by_background, whole = (pd.concat(rows) for rows in zip(*swept, strict=True))
    dual = pd.concat([by_foreground, by_background])
    above = ", from above" if len(trained) > 1 else ""
    text = (
        f"Adversarial accuracy of {names_text(whole)} (adversarial training with {norms_text(trained)}"
        f"{above}) under attacks in the {NORM_NAMES[norm]} norm: "
        f"(a) dual over the foreground budget, eps_b = {constant(by_foreground, 'eps_b'):g}; "
        f"(b) dual over the background budget, eps_f = {constant(by_background, 'eps_f'):g}; "
        f"(c) PGD over one budget for the whole image. "
        f"Salience weight of dual: {constant(dual, 'salience_weight'):g}."
        f"{salience_note(dual)}{bound_note(dual)} "
        f"{images_text(pd.concat([dual, whole]))}; bands are 95 % Wilson intervals."
    )
    if with_jsma:
        text += "".join(" " + _jsma_text(jsma(results, own)) for own in trained)
    return text


def accuracy_table(results: pd.DataFrame, norm: str, trained: tuple[str, ...]) -> pd.DataFrame:
    """A row per point of the sweeps, a column per classifier; budgets at the paper's scale and as spent."""
    tables = []
    for own in trained:
        table = pd.concat([_points(rows) for rows in _swept(results, norm, own)], ignore_index=True)
        if trained != (norm,):
            table.insert(0, "trained with", NORM_NAMES[own])
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def accuracy_rows(
    results: pd.DataFrame, norm: str, trained: tuple[str, ...], with_jsma: bool = False
) -> pd.DataFrame:
    """The results' rows behind a figure, each once."""
    rows = pd.concat([part for own in trained for part in _swept(results, norm, own)])
    if with_jsma:
        rows = pd.concat([rows, *(jsma(results, own) for own in trained)])
    return rows[~rows.index.duplicated()]


def _swept(results: pd.DataFrame, norm: str, trained: str) -> list[pd.DataFrame]:
    """The rows of each plot, from left to right."""
    return [sweep(results, attack, axis, norm, trained=trained) for attack, axis in SWEEPS]


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


def _jsma_text(rows: pd.DataFrame) -> str:
    most = float(rows["value"].max())
    left = [
        f"{label(str(row['defence']))} {interval_text(row)}"
        for _, row in ordered(rows[rows["value"] == most]).iterrows()
    ]
    return (
        f"(d) JSMA over the share of the pixels it may change, {images_text(rows)}; accuracy at "
        f"{100 * most:g} %: {', '.join(left)}."
    )


def _points(rows: pd.DataFrame) -> pd.DataFrame:
    """The points of one sweep, a column per classifier."""
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
        table[label(defence)] = [interval_text(row) for _, row in own.iterrows()]
    table["steps"] = [int(steps) for steps in first["steps"]]
    counts = rows.groupby("value")["n"].unique()
    table["n"] = [" / ".join(str(int(n)) for n in counts[value]) for value in first["value"]]
    return table
