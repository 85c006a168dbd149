"""Fig. 3: foreground score and accuracy over the salience weight."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualperturb.figures.curves import UNITS, legend, lines, value_axis, whole_percent
from dualperturb.figures.judged import control_score, control_text, crossed_text
from dualperturb.figures.names import LOSS_NAMES, NORM_NAMES, label
from dualperturb.figures.panel import Panel, where_in_use
from dualperturb.figures.style import Style, house_style, new_figure
from dualperturb.figures.sweeps import constant, defences, only, sweep
from dualperturb.figures.texts import (
    images_text,
    interval_text,
    mean_text,
    names_text,
    salience_note,
)
from dualperturb.params import SALIENCE_LOSSES, Figures


def panels(results: pd.DataFrame, chosen: Figures) -> list[Panel]:
    """One panel, in the norm in which the weight was swept; a line where that norm is not in use."""
    panel = Panel(
        stem="salience",
        number="Fig. 3",
        name="foreground score and accuracy over the salience weight",
        draw=lambda given: salience_panels(given.results, given.style),
        caption=lambda given: salience_caption(given.results) + given.score_note,
        table=lambda given: salience_table(given.results),
        rows=lambda given: pd.concat(salience_sweeps(given.results).values()),
        in_comment=True,
    )
    return [where_in_use(panel, results, {"fig3.norm": chosen.fig3.norm})]


def salience_sweeps(results: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The sweep's rows by loss, for the classifiers trained with the norm in which it was made.

    None where no weight was swept. Raises `UserError` where the sweep is incomplete or in several norms.
    """
    rows = results[results["axis"] == "salience_weight"]
    if rows.empty:
        return {}
    norm = only(rows, "norm")
    return {name: sweep(results, "dual", "salience_weight", norm, name) for name in SALIENCE_LOSSES}


def clean_score(results: pd.DataFrame, norm: str) -> float:
    """The mean foreground score of the same images without attack: PGD with a budget of 0."""
    rows = sweep(results, "pgd", "eps", norm)
    return float(rows.loc[rows["value"] == 0, "foreground_score"].iloc[0])


def salience_panels(results: pd.DataFrame, style: Style) -> Figure:
    """Foreground score (above) and adversarial accuracy under dual over the salience weight.

    Each loss has a column. Thin lines: the score of the images without attack, and that by the control, which
    looks at no image and so is the same for every example. The weights stand at equal distances, since they
    include 0 and span orders of magnitude, or on a logarithmic axis where `style.log_axes` names
    salience_weight.
    """
    by_loss = salience_sweeps(results)
    rows = pd.concat(by_loss.values())
    norm = only(rows, "norm")
    thin = {"clean images": clean_score(results, norm), "control": control_score(results, norm)}
    levels = {name: level for name, level in thin.items() if level is not None}
    with house_style():
        figure = new_figure(style.width_inches, 0.62 * style.width_inches, style)
        panels = figure.subplots(2, len(by_loss), sharex=True, sharey="row")
        for letter, column, name in zip("ab", panels.T, by_loss, strict=True):
            _column(column, by_loss[name], levels, style)
            column[0].set_title(f"({letter}) {LOSS_NAMES[name]}")
        _score_limits(panels[0, 0], rows, list(levels.values()))
        panels[0, 0].set_ylabel("foreground score")
        whole_percent(panels[1, 0])
        panels[1, 0].set_ylabel("adversarial accuracy (%)")
        figure.suptitle(_threat_model(rows), fontsize=8.5)
        legend(figure, panels[0, 0])
    return figure


def salience_caption(results: pd.DataFrame) -> str:
    """Fig. 3: the changes from the smallest to the largest weight, for each loss and each defence."""
    by_loss = salience_sweeps(results)
    rows = pd.concat(by_loss.values())
    norm, first, last = only(rows, "norm"), rows["value"].min(), rows["value"].max()
    text = (
        f"Mean foreground score (above) and adversarial accuracy (below) of {names_text(rows)} under dual "
        f"in the {NORM_NAMES[norm]} norm with "
        f"eps_f = {constant(rows, 'eps_f'):g}, eps_b = {constant(rows, 'eps_b'):g} over the salience weight, "
        f"{_losses()}. {images_text(rows)}; bands are 95 % intervals. The thin line is the mean score of the "
        f"same images without attack, {clean_score(results, norm):.3f}.{control_text(results, norm)}"
        f"{salience_note(rows)}"
    )
    if first < last:
        changes = [f"with {LOSS_NAMES[name]} {_changes(own)}" for name, own in by_loss.items()]
        text += (
            " Change of foreground score and accuracy "
            f"from weight {first:g} to {last:g}: {'; '.join(changes)}."
        )
    return text + crossed_text(results, norm)


def _losses() -> str:
    shown = (f"{LOSS_NAMES[name]} ({letter})" for letter, name in zip("ab", SALIENCE_LOSSES, strict=True))
    return (
        f"the score being added to {' or to '.join(shown)}: cross-entropy is saturated where a classifier is "
        "sure, so that what the sum follows hangs on the scale of the logits; DLR does not change with it"
    )


def salience_table(results: pd.DataFrame) -> pd.DataFrame:
    """One row per loss, defence and salience weight: foreground score and accuracy with intervals."""
    points = pd.concat(salience_sweeps(results).values())
    for column, names in (("loss", list(SALIENCE_LOSSES)), ("defence", defences(points))):
        points[f"{column} place"] = points[column].map(names.index)
    points = points.sort_values(["loss place", "defence place", "value"])
    return pd.DataFrame(
        {
            "loss": [LOSS_NAMES[name] for name in points["loss"]],
            "defence": [label(name) for name in points["defence"]],
            "salience weight": list(points["value"]),
            "foreground score": [mean_text(row, "foreground_score") for _, row in points.iterrows()],
            "adversarial accuracy": [interval_text(row) for _, row in points.iterrows()],
            "n": list(points["n"]),
        }
    )


def _column(column: list[Axes], rows: pd.DataFrame, levels: Mapping[str, float], style: Style) -> None:
    """Score and accuracy of one loss; levels: the scores to be drawn as thin lines, by name."""
    above, below = column
    weights = sorted(rows["value"].unique())
    logarithmic = "salience_weight" in style.log_axes
    places = rows["value"] if logarithmic else rows["value"].map(weights.index)
    lines(above, rows, "foreground_score", places, style)
    for (name, level), dashes in zip(levels.items(), ((4, 3), (1, 2)), strict=False):
        above.axhline(level, color="#444444", linewidth=0.8, linestyle=(0, dashes), label=name)
    lines(below, rows, "accuracy", places, style, percent=True)
    if logarithmic:
        value_axis(below, "salience_weight", rows["value"], style)
        below.set_xlabel("salience weight")
    else:
        below.set_xticks(range(len(weights)), [f"{weight:g}" for weight in weights])
        below.set_xlabel("salience weight (equal steps, no scale)")


def _threat_model(rows: pd.DataFrame) -> str:
    eps_f, eps_b = constant(rows, "eps_f"), constant(rows, "eps_b")
    return rf"dual, $\epsilon_f$ = {eps_f:g}, $\epsilon_b$ = {eps_b:g} ({UNITS[only(rows, 'norm')]})"


def _score_limits(axes: Axes, rows: pd.DataFrame, levels: list[float]) -> None:
    """Room around the bands, at least 0.1 in all, so that a flat line is not blown up into a slope."""
    low = min(float(rows["foreground_score_low"].min()), *levels)
    high = max(float(rows["foreground_score_high"].max()), *levels)
    room = max(0.1 * (high - low), (0.1 - (high - low)) / 2)
    axes.set_ylim(max(low - room, 0.0), min(high + room, 1.0))


def _changes(rows: pd.DataFrame) -> str:
    changes = []
    for defence in defences(rows):
        own = rows[rows["defence"] == defence]
        score = own["foreground_score"].iloc[-1] - own["foreground_score"].iloc[0]
        accuracy = 100 * (own["accuracy"].iloc[-1] - own["accuracy"].iloc[0])
        changes.append(f"{label(defence)} {score:+.3f} and {accuracy:+.1f} points")
    return ", ".join(changes)
