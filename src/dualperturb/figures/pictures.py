"""Figures of images: dual examples at salience weights (Fig. 1), noise by region (Fig. 2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualperturb.figures.style import Style, house_style, new_figure
from dualperturb.fonts import families, shown

Array = npt.NDArray[Any]

_WRONG = "#b3261e"
_LONGEST_NAME = 13
_NARROWEST = 1.1  # inches of a column, which headings such as "AT-PGD (L-infinity)" take


def dual_examples(examples: Mapping[str, Any], style: Style) -> Figure:
    """Fig. 1: a row an image; original, log density and foreground, dual at each salience weight.

    Under a picture: prediction (a cross where it is not the label) and foreground score FS. `examples` holds
    original (K, 3, H, W) in [0, 1], foreground (K, 1, H, W), log_density (K, H, W), dual (W, K, 3, H, W) and
    the predictions and scores that belong to them.
    """
    weights = [f"dual, salience\nweight {weight:g}" for weight in examples["salience_weights"]]
    headings = ["original", "log density,\nforeground", *weights]
    with house_style():
        figure, grid = _grid(examples["original"], headings, style)
        for k, row in enumerate(grid):
            _original(row[0], examples, k)
            _density(row[1], examples, k)
            for w, axes in enumerate(row[2:]):
                _picture(axes, examples["dual"][w, k])
                _outcome(axes, examples, k, examples["dual_predicted"][w, k], examples["dual_score"][w, k])
    return figure


def noise_examples(examples: Mapping[str, Any], style: Style) -> Figure:
    """Fig. 2: a row an image; original, noise of one budget in the foreground, then in the background."""
    headings = ["original", "foreground\nnoise", "background\nnoise"]
    with house_style():
        figure, grid = _grid(examples["original"], headings, style)
        for k, row in enumerate(grid):
            _original(row[0], examples, k)
            for axes, kind in zip(row[1:], ("foreground_noise", "background_noise"), strict=True):
                _picture(axes, examples[kind][k])
                _outcome(axes, examples, k, examples[f"{kind}_predicted"][k], examples[f"{kind}_score"][k])
    return figure


def short(name: str) -> str:
    """A class name short enough to stand under a picture, in letters that a font here has."""
    name = shown(name)
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1].rstrip(" ,") + "…"


def _grid(images: Array, headings: list[str], style: Style) -> tuple[Figure, Array]:
    """A figure with a row an image (K, 3, H, W) and a column a heading; full width from 6 columns on.

    Wider where the columns would be too narrow for their texts.
    """
    count, _, height, width = images.shape
    columns = len(headings)
    cell = max(style.width_inches / max(columns, 6), _NARROWEST)
    text = 0.33  # inches under a picture, and above the first
    figure = new_figure(cell * columns, count * (cell * height / width + text) + text, style)
    figure.set_layout_engine("constrained", h_pad=0.03, w_pad=0.03, hspace=0, wspace=0)
    grid = figure.subplots(count, columns, squeeze=False)
    for axes, heading in zip(grid[0], headings, strict=True):
        axes.set_title(heading, fontsize=8)
    return figure, grid


def _picture(axes: Axes, image: Array) -> None:
    """`image` is (3, H, W) in [0, 1]."""
    axes.imshow(np.clip(image, 0, 1).transpose(1, 2, 0), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _original(axes: Axes, examples: Mapping[str, Any], k: int) -> None:
    _picture(axes, examples["original"][k])
    _outcome(axes, examples, k, examples["original_predicted"][k], examples["original_score"][k])


def _outcome(axes: Axes, examples: Mapping[str, Any], k: int, predicted: int, score: float) -> None:
    wrong = int(predicted) != int(examples["labels"][k])
    name = short(str(examples["class_names"][int(predicted)]))
    axes.set_xlabel(
        f"{'✗ ' if wrong else ''}{name}\nFS {float(score):.2f}",
        fontsize=7.5,
        color=_WRONG if wrong else "black",
        labelpad=2,
        parse_math=False,
        fontfamily=families(name),
    )


def density_picture(original: Array, log_density: Array) -> Array:
    """The log density (H, W) as light over the grey `original` (3, H, W): (3, H, W) in [0, 1]."""
    density = np.asarray(log_density, dtype=np.float64)
    span = max(float(np.ptp(density)), 1e-12)
    heat = colormaps["cividis"]((density - density.min()) / span)[..., :3]
    grey = np.repeat(original.mean(axis=0)[..., None], 3, axis=2)
    picture: Array = (0.35 * grey + 0.65 * heat).transpose(2, 0, 1)
    return picture


def _density(axes: Axes, examples: Mapping[str, Any], k: int) -> None:
    """The log density with the foreground's outline on top."""
    _picture(axes, density_picture(examples["original"][k], examples["log_density"][k]))
    mask = np.asarray(examples["foreground"][k, 0])
    _outline(axes, mask)
    name = short(str(examples["class_names"][int(examples["labels"][k])]))
    text = f"label: {name}\n{mask.mean():.0%} foreground"
    axes.set_xlabel(text, fontsize=7.5, labelpad=2, parse_math=False, fontfamily=families(name))


def _outline(axes: Axes, mask: Array) -> None:
    """White on black along the edge of the bool `mask` (H, W); an empty or full mask has no edge."""
    if mask.any() and not mask.all():
        for color, width in (("black", 1.8), ("white", 0.8)):
            axes.contour(mask.astype(float), levels=[0.5], colors=[color], linewidths=[width])
