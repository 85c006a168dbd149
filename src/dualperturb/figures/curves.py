"""The parts that figures of curves share: lines with interval bands, axes, the legend."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter

from dualperturb.core.budgets import NORMS
from dualperturb.figures.names import label
from dualperturb.figures.style import Style, line_cues
from dualperturb.figures.sweeps import defences

_LABEL = 0.15  # share of an axis that the label of a tick may take
_CUE, _LETTER = 0.55, 0.065  # inches that an entry of a legend takes beside its name, and for a letter of it
UNITS = {key: f"{norm.symbol}, {norm.unit.drawn}" for key, norm in NORMS.items()}


def lines(
    axes: Axes,
    rows: pd.DataFrame,
    measure: str,
    places: pd.Series,
    style: Style,
    percent: bool = False,
    markers: bool = True,
) -> None:
    """One line with its interval band per defence; `places` are the x positions of `rows`."""
    factor = 100 if percent else 1
    for defence in defences(rows):
        own = rows[rows["defence"] == defence]
        x = places[own.index]
        cues = line_cues(defence, style) | ({} if markers else {"marker": ""})
        low, high = own[f"{measure}_low"] * factor, own[f"{measure}_high"] * factor
        if len(own) > 1:
            axes.fill_between(x, low, high, color=cues["color"], alpha=0.18, linewidth=0)
        else:  # a band over one value has no width
            axes.vlines(x, low, high, color=cues["color"], alpha=0.5)
        # With clipping, the frame would cut markers at 0 % and 100 % in half.
        axes.plot(x, own[measure] * factor, label=label(defence), clip_on=False, zorder=3, **cues)


def value_axis(axes: Axes, name: str, values: pd.Series, style: Style) -> None:
    """The x axis of a sweep; logarithmic if `style` asks for it, but linear up to the least positive value.

    A single value stands in the middle of a linear axis, as one value gives an axis no extent.
    """
    if values.nunique() > 1:
        axes.set_xlim(float(values.min()), float(values.max()))
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    else:
        axes.xaxis.set_major_locator(FixedLocator([float(values.iloc[0])]))
    if name in style.log_axes and values.nunique() > 1:
        least = float(values[values > 0].min())
        axes.set_xscale("symlog", linthresh=least, linscale=0.5)
        axes.xaxis.set_major_locator(FixedLocator(_apart(axes, sorted(values.unique()))))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.4g}"))


def _apart(axes: Axes, values: list[float]) -> list[float]:
    """The sorted values whose labels do not run into each other, always with the first and the last."""
    places = axes.xaxis.get_transform().transform(np.array(values))
    shares = (places - places[0]) / (places[-1] - places[0])
    kept = [0]
    for place in range(1, len(values) - 1):
        if min(shares[place] - shares[kept[-1]], 1 - shares[place]) >= _LABEL:
            kept.append(place)
    return [values[place] for place in (*kept, -1)]


def whole_percent(axes: Axes) -> None:
    axes.set_ylim(0, 100)
    axes.set_yticks(range(0, 101, 20))


def legend(figure: Figure, axes: Axes) -> None:
    """Below all plots, with as many entries beside each other as have room, but at most five."""
    handles, names = axes.get_legend_handles_labels()
    entry = _CUE + _LETTER * max(map(len, names))
    columns = max(1, min(len(names), 5, int(figure.get_figwidth() / entry)))
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False)
