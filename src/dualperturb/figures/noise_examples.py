"""Fig. 2: noise of one budget in the background alone against the foreground alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dualperturb.figures.panel import Panel
from dualperturb.figures.pictures import picture_grid, show, show_original, write_outcome
from dualperturb.figures.predictions import made_on, outcome_text, predictions_table
from dualperturb.figures.style import Style, house_style
from dualperturb.figures.texts import budgets_text, images
from dualperturb.params import Figures

_NOISY = ("background_noise", "foreground_noise")  # from left to right, as in the paper


def panels(results: pd.DataFrame, chosen: Figures) -> list[Panel]:
    """One panel, whatever was measured."""
    return [
        Panel(
            stem="noise_examples",
            number="Fig. 2",
            name="background against foreground noise",
            draw=lambda given: noise_pictures(given.examples["noise"], given.style),
            caption=lambda given: noise_examples_caption(given.examples["noise"]),
            table=lambda given: noise_examples_table(given.examples["noise"]),
        )
    ]


def noise_pictures(examples: Mapping[str, Any], style: Style) -> Figure:
    """Fig. 2: one row per image; original, noise of one budget in the background, then in the foreground."""
    headings = ["original", *(kind.replace("_", "\n") for kind in _NOISY)]
    with house_style():
        figure, grid = picture_grid(examples["original"], headings, style)
        for k, row in enumerate(grid):
            show_original(row[0], examples, k)
            for axes, kind in zip(row[1:], _NOISY, strict=True):
                show(axes, examples[kind][k])
                write_outcome(
                    axes, examples, k, examples[f"{kind}_predicted"][k], examples[f"{kind}_score"][k]
                )
    return figure


def noise_examples_caption(examples: Mapping[str, Any]) -> str:
    """Fig. 2: what the columns are, and for each how many predictions are wrong and the mean score."""
    outcomes = [
        f"{name}: {outcome_text(examples['labels'], predicted, score)}"
        for name, predicted, score in _columns(examples)
    ]
    return (
        f"{images(len(examples['labels']), 'test ')}, with adversarial noise of the same budget, "
        f"{budgets_text(str(examples['norm']), float(examples['budgets'][0]))}, {made_on(examples)} in the "
        f"background alone or in the foreground alone. Wrong predictions: {'; '.join(outcomes)}."
    )


def noise_examples_table(examples: Mapping[str, Any]) -> pd.DataFrame:
    """One row per picture of Fig. 2: test image, label, picture, prediction, foreground score."""
    return predictions_table(examples, _columns(examples))


def _columns(examples: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Of each column the name, the predictions and the foreground scores."""
    kinds = ("original", *_NOISY)
    return [
        (kind.replace("_", " "), examples[f"{kind}_predicted"], examples[f"{kind}_score"]) for kind in kinds
    ]
