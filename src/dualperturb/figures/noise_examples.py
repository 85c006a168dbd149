"""Fig. 2: noise of one budget in the foreground alone against the background alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from dualperturb.figures.names import label
from dualperturb.figures.panel import Panel
from dualperturb.figures.pictures import picture_grid, show, show_original, write_outcome
from dualperturb.figures.predictions import OUTCOMES, outcome_text, predictions_table
from dualperturb.figures.style import Style, house_style
from dualperturb.figures.texts import budgets_text, images

_NOISY = ("original", "foreground_noise", "background_noise")


def panels(results: pd.DataFrame) -> list[Panel]:
    """One panel, whatever was measured."""
    return [
        Panel(
            stem="noise_examples",
            number="Fig. 2",
            name="foreground against background noise",
            draw=lambda given: noise_pictures(given.examples, given.style),
            caption=lambda given: noise_examples_caption(given.examples),
            table=lambda given: noise_examples_table(given.examples),
        )
    ]


def noise_pictures(examples: Mapping[str, Any], style: Style) -> Figure:
    """Fig. 2: one row per image; original, noise of one budget in the foreground, then in the background."""
    headings = ["original", "foreground\nnoise", "background\nnoise"]
    with house_style():
        figure, grid = picture_grid(examples["original"], headings, style)
        for k, row in enumerate(grid):
            show_original(row[0], examples, k)
            for axes, kind in zip(row[1:], ("foreground_noise", "background_noise"), strict=True):
                show(axes, examples[kind][k])
                write_outcome(
                    axes, examples, k, examples[f"{kind}_predicted"][k], examples[f"{kind}_score"][k]
                )
    return figure


def noise_examples_caption(examples: Mapping[str, Any]) -> str:
    """Fig. 2: what the columns are, and for each how many predictions are wrong and the mean score."""
    outcomes = []
    for kind in _NOISY:
        outcome = outcome_text(examples["labels"], examples[f"{kind}_predicted"], examples[f"{kind}_score"])
        outcomes.append(f"{kind.replace('_', ' ')}: {outcome}")
    return (
        f"{images(len(examples['labels']), 'test ')}, with adversarial noise of the same budget, "
        f"{budgets_text(str(examples['norm']), float(examples['budgets'][1]))}, made on "
        f"{label(str(examples['defence']))} in the foreground alone or in the background alone. "
        f"{OUTCOMES}: {'; '.join(outcomes)}."
    )


def noise_examples_table(examples: Mapping[str, Any]) -> pd.DataFrame:
    """One row per picture of Fig. 2: test image, label, picture, prediction, foreground score."""
    return predictions_table(
        examples,
        [
            (kind.replace("_", " "), examples[f"{kind}_predicted"], examples[f"{kind}_score"])
            for kind in _NOISY
        ],
    )
