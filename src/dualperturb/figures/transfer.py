"""The transfer matrix (appendix D) as heat maps: one panel per attack, rows are sources, columns targets."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dualperturb.errors import UserError
from dualperturb.figures.names import ATTACKS, NORM_NAMES, classifier_labels, label
from dualperturb.figures.panel import DrawnFrom, Panel
from dualperturb.figures.style import Style, house_style, new_figure
from dualperturb.figures.sweeps import norms
from dualperturb.figures.texts import bound_of, bound_text, images, interval_text, row_budgets_text
from dualperturb.params import Figures

_MAP = "cividis"  # its lightness rises evenly: the same order for colour-blind readers and in grey
_LIGHT = 47  # %: from here on black reads better than white (WCAG's contrast)

# Inches: the widest cell, and the least, which holds "100"; room beside for the sources' names and the colour
# bar; room below for the targets' names; between panels; a panel's title.
_CELL, _LEAST, _BESIDE, _BELOW, _BETWEEN, _TITLE = 0.6, 0.28, 1.75, 0.85, 0.12, 0.3
_NAME, _LETTER = 20, 0.075  # letters of a name for which that is room, inches of each further one
_SLOPE = 35  # degrees, of the targets' names
_PASSES = 3


def panels(results: pd.DataFrame, chosen: Figures) -> list[Panel]:
    """One panel for each norm in which budgets were swept and transfer was measured."""
    measured = set(results.loc[results["axis"] == "transfer", "norm"])
    return [_panel(norm) for norm in norms(results) if norm in measured]


def _panel(norm: str) -> Panel:
    return Panel(
        stem=f"transfer_{norm}",
        number="Appendix D",
        name=f"transfer of {NORM_NAMES[norm]} examples",
        draw=lambda given: _draw(given, norm),
        caption=lambda given: transfer_caption(given.results, norm),
        table=lambda given: transfer_shown(given.results, norm),
        rows=lambda given: transfer_table(given.results, norm).drop(columns="target"),
    )


def _draw(given: DrawnFrom, norm: str) -> Figure:
    table = transfer_table(given.results, norm)
    labels = classifier_labels(table["source"].unique()) | {"pgd": "PGD", "dual": "dual"}
    return transfer_panels(table, labels, given.style)


def transfer_panels(table: pd.DataFrame, labels: Mapping[str, str], style: Style) -> Figure:
    """Accuracy in % of each target (columns) on examples made on each source (rows), one panel per attack.

    table: as `evaluation.transfer` makes it, of one data set; classifiers and attacks stand in its order.
    labels: shown names of classifiers and attacks; one that is absent is shown by its `names.label`. The
    white-box cells of the diagonal are framed. Raises `UserError` unless every cell is there once.
    """
    names, attacks = (list(dict.fromkeys(table[column])) for column in ("source", "attack"))
    if not attacks:
        raise UserError("transfer: expected at least one attack, found no rows")
    shown = [labels.get(name, label(name)) for name in names]
    long = max(0.0, max(map(len, shown)) - _NAME) * _LETTER
    beside, below = _BESIDE + long, _BELOW + long * math.sin(math.radians(_SLOPE))
    columns, cell = _cells(len(attacks), len(names), style.width_inches - beside)
    lines, panel = -(-len(attacks) // columns), len(names) * cell
    with house_style():
        width, height = beside + columns * (panel + _BETWEEN), below + lines * (panel + _TITLE)
        figure = new_figure(width, height, style)
        grid = figure.subplots(lines, columns, squeeze=False)
        panels: list[Axes] = list(grid.flat)
        for place, (axes, attack) in enumerate(zip(panels, attacks, strict=False)):
            _heat_map(axes, _matrix(table, attack, names))
            axes.set_title(labels.get(attack, attack))
            _names(axes, shown, left=place % columns == 0, below=place + columns >= len(attacks))
        for axes in panels[len(attacks) :]:
            axes.remove()
        bar = figure.colorbar(
            panels[0].images[0], ax=panels[: len(attacks)], fraction=0.05, pad=0.02, aspect=25
        )
        bar.set_label("accuracy of the target (%)")
        figure.supylabel("examples made on", fontsize="medium")
        figure.supxlabel("tried on", fontsize="medium")
        if columns == 1:  # one pass of the layout does not make room for names beside so large a panel
            for _ in range(_PASSES):
                figure.draw_without_rendering()
    return figure


def _cells(attacks: int, names: int, width: float) -> tuple[int, float]:
    """Panels beside each other, and a cell's side in inches: fewer panels where cells would be too small for
    their numbers, and more than `width` where one is."""
    for columns in range(min(attacks, 3 if names <= 4 else 2), 0, -1):
        cell = min(_CELL, (width / columns - _BETWEEN) / names)
        if cell >= _LEAST:
            return columns, cell
    return 1, _LEAST


def transfer_table(results: pd.DataFrame, norm: str) -> pd.DataFrame:
    """The transfer rows of a norm with the target named as the sources are (at_pgd_L2), ready to be drawn."""
    rows = results[(results["axis"] == "transfer") & (results["norm"] == norm)]
    suffix = rows["trained_norm"].map(lambda trained: "" if trained == "none" else f"_{trained}")
    return rows.assign(target=rows["defence"] + suffix)


def transfer_caption(results: pd.DataFrame, norm: str) -> str:
    """The meaning of the cells; for each attack the pair with the strongest transfer, and its white box."""
    table = transfer_table(results, norm)
    labels = classifier_labels(table["source"].unique())
    parts = []
    for attack, rows in table.groupby("attack", sort=False):
        parts.append(f"{ATTACKS[str(attack)]} ({row_budgets_text(rows.iloc[0])}): {_strongest(rows, labels)}")
    bound = bound_of(table)
    kept = (
        " An example of the dual attack counts only if it keeps the foreground score S at or above "
        f"{bound_text(bound)}."
    )
    return (
        f"Accuracy in % of each classifier on {NORM_NAMES[norm]} examples made on each other, the same "
        f"{images(int(table['n'].iloc[0]))} in every cell; framed, the white-box attacks. Lowest accuracy on "
        f"transferred examples: {'; '.join(parts)}.{kept if bound else ''}"
    )


def transfer_shown(results: pd.DataFrame, norm: str) -> pd.DataFrame:
    """One row per attack and source, one column per target: accuracy with its interval."""
    table = transfer_table(results, norm)
    labels = classifier_labels(table["source"].unique())
    shown: dict[tuple[str, str], dict[str, object]] = {}
    for _, row in table.iterrows():
        key = str(row["attack"]), str(row["source"])
        start = {"attack": ATTACKS[key[0]], "made on": labels[key[1]], "n": int(row["n"])}
        shown.setdefault(key, start)[f"tried on {labels[str(row['target'])]}"] = interval_text(row)
    return pd.DataFrame(shown.values())


def _matrix(table: pd.DataFrame, attack: str, names: list[str]) -> npt.NDArray[np.float64]:
    """Accuracies in %, sources as rows, targets as columns."""
    rows = table[table["attack"] == attack]
    columns = (rows["source"], rows["target"], 100 * rows["accuracy"])
    cells = {(source, target): float(percent) for source, target, percent in zip(*columns, strict=True)}
    expected = {(source, target) for source in names for target in names}
    if set(cells) != expected or len(rows) != len(expected):
        raise UserError(
            f"transfer: {attack}: expected each of the {len(expected)} pairs of {', '.join(names)} once, "
            f"found {len(rows)} rows with {len(cells)} pairs"
        )
    return np.array([[cells[source, target] for target in names] for source in names])


def _heat_map(axes: Axes, values: npt.NDArray[np.float64]) -> None:
    axes.imshow(values, cmap=_MAP, vmin=0, vmax=100)
    axes.grid(False)
    count = len(values)
    # White lines between the cells; ticks would stand for nothing.
    axes.set_xticks(np.arange(1, count) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, count) - 0.5, minor=True)
    axes.grid(True, which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0)
    for source in range(count):
        for target in range(count):
            value = values[source, target]
            axes.text(target, source, f"{value:.0f}", ha="center", va="center", color=_ink(value), fontsize=8)
        corner = (source - 0.44, source - 0.44)
        frame = _ink(values[source, source])
        axes.add_patch(Rectangle(corner, 0.88, 0.88, fill=False, edgecolor=frame, linewidth=1))


def _ink(percent: float) -> str:
    return "black" if percent >= _LIGHT else "white"


def _names(axes: Axes, shown: list[str], left: bool, below: bool) -> None:
    """The sources at the left edge of the figure, the targets under the lowest panel of a column."""
    axes.set_yticks(range(len(shown)), shown if left else [""] * len(shown))
    axes.set_xticks(range(len(shown)), shown if below else [""] * len(shown))
    for name in axes.get_xticklabels():
        name.set(rotation=_SLOPE, ha="right", rotation_mode="anchor")


def _strongest(rows: pd.DataFrame, labels: dict[str, str]) -> str:
    same = rows["source"] == rows["target"]
    if same.all():
        return "none, one classifier"
    least = rows[~same].sort_values("accuracy", kind="stable").iloc[0]
    own = rows[same].set_index("target").loc[least["target"]]
    return (
        f"{labels[str(least['target'])]} on those of {labels[str(least['source'])]} {interval_text(least)}, "
        f"on its own {interval_text(own)}"
    )
