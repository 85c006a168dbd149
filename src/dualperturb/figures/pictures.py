"""The parts that figures of images share: the grid, a picture in it with its outline, the text below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

from dualperturb.figures.style import Style, new_figure
from dualperturb.fonts import families, shown

Array = npt.NDArray[Any]

_WRONG = "#b3261e"
_LONGEST_NAME = 13
_NARROWEST = 1.1  # inches of a column, which headings such as "AT-PGD (L-infinity)" need
_SIZE = 8  # points, of headings


def short(name: str) -> str:
    """A class name short enough to stand under a picture, in letters that installed fonts have."""
    name = shown(name)
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1].rstrip(" ,") + "…"


def picture_grid(images: Array, headings: list[str], style: Style) -> tuple[Figure, Array]:
    """A figure with one row per image (K, 3, H, W) and one column per heading; full width from 6 columns on.

    It is wider where the columns would be too narrow for their texts.
    """
    count, _, height, width = images.shape
    columns = len(headings)
    widest = max(_inches(line) for heading in headings for line in heading.splitlines())
    cell = max(style.width_inches / max(columns, 6), _NARROWEST, widest + 0.05)
    text = 0.33  # inches under a picture, and above the first
    figure = new_figure(cell * columns, count * (cell * height / width + text) + text, style)
    figure.set_layout_engine("constrained", h_pad=0.03, w_pad=0.03, hspace=0, wspace=0)
    grid = figure.subplots(count, columns, squeeze=False)
    for axes, heading in zip(grid[0], headings, strict=True):
        axes.set_title(heading, fontsize=_SIZE)
    return figure, grid


def _inches(line: str) -> float:
    """Of a line of a heading."""
    return float(TextPath((0, 0), line, size=_SIZE).get_extents().width) / 72


def show(axes: Axes, image: Array) -> None:
    """Shows `image`, (3, H, W) in [0, 1], without ticks, grid or frame."""
    axes.imshow(np.clip(image, 0, 1).transpose(1, 2, 0), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def show_original(axes: Axes, examples: Mapping[str, Any], k: int) -> None:
    show(axes, examples["original"][k])
    write_outcome(axes, examples, k, examples["original_predicted"][k], examples["original_score"][k])


def write_outcome(axes: Axes, examples: Mapping[str, Any], k: int, predicted: int, score: float) -> None:
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


def show_outline(axes: Axes, mask: Array) -> None:
    """White on black along the edge of the bool `mask` (H, W); an empty or full mask has no edge."""
    if mask.any() and not mask.all():
        for color, width in (("black", 1.8), ("white", 0.8)):
            axes.contour(mask.astype(float), levels=[0.5], colors=[color], linewidths=[width])
