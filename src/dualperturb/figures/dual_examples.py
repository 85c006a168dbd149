"""Fig. 1: dual examples of a few images at several salience weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualperturb.figures.names import label
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
from dualperturb.figures.predictions import OUTCOMES, outcome_text, predictions_table
from dualperturb.figures.style import Style, house_style
from dualperturb.figures.texts import budgets_text, images
from dualperturb.fonts import families


def panels(results: pd.DataFrame) -> list[Panel]:
    """One panel, whatever was measured."""
    return [
        Panel(
            stem="dual_examples",
            number="Fig. 1",
            name="dual examples at different salience weights",
            draw=lambda given: dual_pictures(given.examples, given.style),
            caption=lambda given: dual_examples_caption(given.examples),
            table=lambda given: dual_examples_table(given.examples),
        )
    ]


def dual_pictures(examples: Mapping[str, Any], style: Style) -> Figure:
    """Fig. 1: one row per image; original, log density and foreground, dual at each salience weight.

    Under a picture: prediction (a cross where it is not the label) and foreground score FS. `examples` holds
    original (K, 3, H, W) in [0, 1], foreground (K, 1, H, W), log_density (K, H, W), dual (W, K, 3, H, W) and
    the predictions and scores that belong to them.
    """
    weights = [f"dual, salience\nweight {weight:g}" for weight in examples["salience_weights"]]
    headings = ["original", "log density,\nforeground", *weights]
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
    """Fig. 1: what the columns are, and at each weight how many predictions are wrong and the mean score."""
    labels = examples["labels"]
    outcomes = [
        f"originals: {outcome_text(labels, examples['original_predicted'], examples['original_score'])}"
    ]
    for w, weight in enumerate(examples["salience_weights"]):
        outcome = outcome_text(labels, examples["dual_predicted"][w], examples["dual_score"][w])
        outcomes.append(f"weight {weight:g}: {outcome}")
    budgets = budgets_text(str(examples["norm"]), *(float(value) for value in examples["budgets"]))
    return (
        f"{images(len(labels), 'test ')}; the log density as light (brighter is denser) with the foreground "
        f"outlined; dual examples made on {label(str(examples['defence']))} with {budgets} "
        f"at each salience weight. Below a picture the prediction, with a cross where it is not the label, "
        f"and the foreground score FS. {OUTCOMES}: {'; '.join(outcomes)}."
    )


def dual_examples_table(examples: Mapping[str, Any]) -> pd.DataFrame:
    """One row per picture of Fig. 1: test image, label, picture, prediction, foreground score."""
    kinds = [("original", examples["original_predicted"], examples["original_score"])]
    for w, weight in enumerate(examples["salience_weights"]):
        name = f"dual, salience weight {weight:g}"
        kinds.append((name, examples["dual_predicted"][w], examples["dual_score"][w]))
    return predictions_table(examples, kinds)


def _show_density(axes: Axes, examples: Mapping[str, Any], k: int) -> None:
    """The log density with the foreground's outline on top."""
    show(axes, density_picture(examples["original"][k], examples["log_density"][k]))
    mask = np.asarray(examples["foreground"][k, 0])
    show_outline(axes, mask)
    name = short(str(examples["class_names"][int(examples["labels"][k])]))
    text = f"label: {name}\n{mask.mean():.0%} foreground"
    axes.set_xlabel(text, fontsize=7.5, labelpad=2, parse_math=False, fontfamily=families(name))
