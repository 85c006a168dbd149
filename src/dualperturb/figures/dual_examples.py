"""Fig. 1: dual examples of a few images at several salience weights, and under a bound on FS (ours)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualperturb.figures.panel import Panel
from dualperturb.figures.pictures import (
    density_picture,
    picture_grid,
    short,
    show,
    show_original,
    show_outline,
    write_outcome,
)
from dualperturb.figures.predictions import made_on, outcome_text, predictions_table
from dualperturb.figures.style import Style, house_style
from dualperturb.figures.texts import bound_text, budgets_text, images
from dualperturb.fonts import families
from dualperturb.params import Figures


def panels(results: pd.DataFrame, chosen: Figures) -> list[Panel]:
    """One panel, whatever was measured."""
    return [
        Panel(
            stem="dual_examples",
            number="Fig. 1",
            name="dual examples at different salience weights",
            draw=lambda given: dual_pictures(given.examples["dual"], given.style),
            caption=lambda given: dual_examples_caption(given.examples["dual"]) + given.score_note,
            table=lambda given: dual_examples_table(given.examples["dual"]),
        )
    ]


def dual_pictures(examples: Mapping[str, Any], style: Style) -> Figure:
    """Fig. 1: one row per image; original, log density and foreground, dual by weight and under a bound.

    Under a picture: prediction (a cross where it is not the label) and foreground score FS. `examples` holds
    what `evaluation.examples.dual_arrays` makes.
    """
    weights = [f"dual, salience\nweight {weight:g}" for weight in examples["salience_weights"]]
    bounded = f"dual, FS at\nleast {examples['bound']}"
    headings = ["original", "log density,\nforeground", *weights, bounded]
    with house_style():
        figure, grid = picture_grid(examples["original"], headings, style)
        for k, row in enumerate(grid):
            show_original(row[0], examples, k)
            _show_density(row[1], examples, k)
            for w, axes in enumerate(row[2:]):
                show(axes, examples["dual"][w, k])
                write_outcome(
                    axes, examples, k, examples["dual_predicted"][w, k], examples["dual_score"][w, k]
                )
    return figure


def dual_examples_caption(examples: Mapping[str, Any]) -> str:
    """Fig. 1: what the columns are, and for each the wrong predictions, those that keep FS, and its mean."""
    labels, clean = examples["labels"], examples["original_score"]
    outcomes = [f"originals: {outcome_text(labels, examples['original_predicted'], clean)}"]
    for name, predicted, score in _columns(examples):
        outcomes.append(f"{name}: {outcome_text(labels, predicted, score, clean)}")
    budgets = budgets_text(str(examples["norm"]), *(float(value) for value in examples["budgets"]))
    return (
        f"{images(len(labels), 'test ')}; the log density as light (brighter is denser) with the foreground "
        f"outlined; dual examples {made_on(examples)} with {budgets} at each salience weight and, in the "
        "last column (ours), without a weight but with a foreground score FS of at least "
        f"{bound_text(str(examples['bound']))}. Below a picture the prediction, with a cross where it is not "
        "the label, and FS. Wrong predictions, in brackets those of them whose FS is at least that of the "
        "original image: "
        f"{'; '.join(outcomes)}."
    )


def dual_examples_table(examples: Mapping[str, Any]) -> pd.DataFrame:
    """One row per picture of Fig. 1: test image, label, picture, prediction, foreground score."""
    original = "original", examples["original_predicted"], examples["original_score"]
    duals = [(f"dual, {name}", *outcome) for name, *outcome in _columns(examples)]
    return predictions_table(examples, [original, *duals])


def _columns(examples: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Of each column of dual examples the name, the predictions and the foreground scores."""
    weights = [f"salience weight {weight:g}" for weight in examples["salience_weights"]]
    names = [*weights, f"FS at least {examples['bound']}"]
    return list(zip(names, examples["dual_predicted"], examples["dual_score"], strict=True))


def _show_density(axes: Axes, examples: Mapping[str, Any], k: int) -> None:
    """The log density with the foreground's outline on top."""
    show(axes, density_picture(examples["original"][k], examples["log_density"][k]))
    mask = np.asarray(examples["foreground"][k, 0])
    show_outline(axes, mask)
    name = short(str(examples["class_names"][int(examples["labels"][k])]))
    text = f"label: {name}\n{mask.mean():.0%} foreground"
    axes.set_xlabel(text, fontsize=7.5, labelpad=2, parse_math=False, fontfamily=families(name))
