"""Fig. 6: loss gradients of the classifiers with respect to the pixels, on the same images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualperturb.figures.names import label
from dualperturb.figures.pictures import _grid, _outline, _picture, short
from dualperturb.figures.style import Style, house_style
from dualperturb.fonts import families


def gradient_pictures(arrays: Mapping[str, Any], labels: Mapping[str, str], style: Style) -> Figure:
    """A row an image: the original with its foreground outlined, then the gradient of each classifier.

    arrays: as `evaluation.gradients.gradient_arrays` makes them. labels: shown names of the classifiers; one
    that is absent is shown as `names.label` has it. Under a gradient: the share of its energy inside the
    foreground, and how many times that is the foreground's share of the area.
    """
    names = [str(name) for name in arrays["classifiers"]]
    headings = ["original", *(labels.get(name, label(name)) for name in names)]
    with house_style():
        figure, grid = _grid(arrays["original"], headings, style)
        for k, row in enumerate(grid):
            _original(row[0], arrays, k)
            for c, axes in enumerate(row[1:]):
                _picture(axes, arrays["gradients"][c, k])
                _write(axes, _energy(arrays, c, k))
    return figure


def _original(axes: Axes, arrays: Mapping[str, Any], k: int) -> None:
    _picture(axes, arrays["original"][k])
    mask = arrays["foreground"][k, 0]
    _outline(axes, mask)
    name = short(str(arrays["class_names"][int(arrays["labels"][k])]))
    _write(axes, f"label: {name}\n{mask.mean():.0%} foreground")


def _energy(arrays: Mapping[str, Any], c: int, k: int) -> str:
    if arrays["zero_gradient"][c, k]:
        return "no gradient\n"
    return f"{arrays['share'][c, k]:.0%} inside\n{arrays['enrichment'][c, k]:.1f}× its area"


def _write(axes: Axes, text: str) -> None:
    axes.set_xlabel(text, fontsize=7.5, labelpad=2, parse_math=False, fontfamily=families(text))
