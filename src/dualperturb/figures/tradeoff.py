"""The price of robustness (ours): each defence's accuracy under Dual-AutoAttack over that on clean images."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dualperturb.figures.curves import whole_percent
from dualperturb.figures.names import NORM_NAMES, label
from dualperturb.figures.panel import Panel
from dualperturb.figures.style import Style, house_style, line_cues, new_figure
from dualperturb.figures.sweeps import constant, defences, norms, sweep
from dualperturb.figures.texts import budgets_text, counts_text, interval_text
from dualperturb.params import Figures


def panels(results: pd.DataFrame, chosen: Figures) -> list[Panel]:
    """One panel for each norm in which Dual-AutoAttack was run, whatever is `chosen`."""
    measured = set(results.loc[results["attack"] == "dual_autoattack", "norm"])
    return [_panel(norm) for norm in norms(results) if norm in measured]


def _panel(norm: str) -> Panel:
    return Panel(
        stem=f"tradeoff_{norm}",
        number="Appendix (ours)",
        name=f"clean against robust accuracy, {NORM_NAMES[norm]}",
        draw=lambda given: tradeoff(given.results, norm, given.style),
        caption=lambda given: tradeoff_caption(given.results, norm),
        table=lambda given: tradeoff_table(given.results, norm),
        rows=lambda given: robust_rows(given.results, norm),
        in_comment=False,
    )


def robust_rows(results: pd.DataFrame, norm: str) -> pd.DataFrame:
    """Dual-AutoAttack's rows in a norm, of classifiers trained with it or with none."""
    rows = results[(results["attack"] == "dual_autoattack") & (results["norm"] == norm)]
    return rows[rows["trained_norm"].isin(("none", norm))]


def tradeoff(results: pd.DataFrame, norm: str, style: Style) -> Figure:
    """One hollow marker a defence, as they may lie upon each other, with the 95 % intervals of both."""
    robust, clean = _points(results, norm)
    with house_style():
        figure = new_figure(0.75 * style.width_inches, 0.5 * style.width_inches, style)
        axes = figure.subplots()
        for defence in robust.index:
            across, up = clean.loc[defence], robust.loc[defence]
            cues = line_cues(defence, style) | {"linestyle": "", "markerfacecolor": "none"}
            errors: dict[str, Any] = {"xerr": _reach(across), "yerr": _reach(up)}
            errors |= {"elinewidth": 0.8, "clip_on": False, "zorder": 3}
            axes.errorbar(
                100 * across["accuracy"], 100 * up["accuracy"], **errors, **cues, label=label(defence)
            )
        axes.set_xlabel("accuracy on clean images (%)")
        axes.set_ylabel("accuracy under\nDual-AutoAttack (%)")
        whole_percent(axes)
        axes.set_xlim(0, 100)
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside right upper", frameon=False)
    return figure


def _reach(point: pd.Series) -> list[list[float]]:
    """From the value to both ends of its interval, in percent, as `errorbar` takes it."""
    value = point["accuracy"]
    return [[100 * (value - point["accuracy_low"])], [100 * (point["accuracy_high"] - value)]]


def tradeoff_caption(results: pd.DataFrame, norm: str) -> str:
    rows, clean = _points(results, norm)
    budgets = budgets_text(norm, constant(rows, "eps_f"), constant(rows, "eps_b"))
    over = f", means over {int(rows['trainings'].max())} trainings" if "trainings" in rows else ""
    return (
        f"Accuracy under Dual-AutoAttack with {budgets} over accuracy on clean images, a marker for each "
        f"defence. Bars are 95 % Wilson intervals; {counts_text(clean)} clean images, {counts_text(rows)} "
        f"under attack{over}."
    )


def tradeoff_table(results: pd.DataFrame, norm: str) -> pd.DataFrame:
    """A row a defence."""
    robust, clean = _points(results, norm)
    return pd.DataFrame(
        {
            "classifier": [label(name) for name in robust.index],
            "clean images": [interval_text(clean.loc[name], counted=True) for name in robust.index],
            "Dual-AutoAttack": [interval_text(row, counted=True) for _, row in robust.iterrows()],
        }
    )


def _points(results: pd.DataFrame, norm: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Under attack and on clean images, indexed by defence, in the paper's order."""
    rows, whole = robust_rows(results, norm), sweep(results, "pgd", "eps", norm)
    names = defences(rows)
    clean = whole[whole["value"] == 0]
    return rows.set_index("defence").loc[names], clean.set_index("defence").loc[names]
