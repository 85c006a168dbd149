"""Fig. 6: loss gradients of the classifiers with respect to the pixels, on the same images."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dualperturb.figures.names import classifier_labels, label
from dualperturb.figures.panel import DrawnFrom, Panel
from dualperturb.figures.pictures import picture_grid, short, show, show_outline
from dualperturb.figures.style import Style, house_style
from dualperturb.figures.texts import (
    counts_text,
    interval_text,
    mean_text,
    ordered,
    row_label,
    several_norms,
)
from dualperturb.fonts import families
from dualperturb.params import Figures

_HEADING = 20  # letters of a line


def panels(results: pd.DataFrame, chosen: Figures) -> list[Panel]:
    """One panel, with all classifiers."""
    return [
        Panel(
            stem="gradients",
            number="Fig. 6",
            name="loss gradients",
            draw=_draw,
            caption=lambda given: gradient_caption(given.results),
            table=lambda given: gradient_table(given.results),
            rows=lambda given: given.results[given.results["axis"] == "gradient"],
            in_comment=True,
        )
    ]


def _draw(given: DrawnFrom) -> Figure:
    labels = classifier_labels(map(str, given.gradients["classifiers"]))
    return gradient_pictures(given.gradients, labels, given.style)


def gradient_pictures(arrays: Mapping[str, Any], labels: Mapping[str, str], style: Style) -> Figure:
    """One row per image: the original with its foreground outlined, then the gradient of each classifier.

    arrays: as `evaluation.gradients.gradient_arrays` makes them. labels: shown names of the classifiers; one
    that is absent is shown by its `names.label`. Under a gradient: the share of its energy inside the
    foreground, and the ratio of that to the foreground's share of the area.
    """
    names = [str(name) for name in arrays["classifiers"]]
    shown = (labels.get(name, label(name)) for name in names)
    headings = ["original", *(textwrap.fill(name, _HEADING) for name in shown)]
    with house_style():
        figure, grid = picture_grid(arrays["original"], headings, style)
        for k, row in enumerate(grid):
            _original(row[0], arrays, k)
            for c, axes in enumerate(row[1:]):
                show(axes, arrays["gradients"][c, k])
                _write(axes, _energy(arrays, c, k))
    return figure


def gradient_caption(results: pd.DataFrame) -> str:
    """Fig. 6: how the pictures are made, and each classifier's share with its interval."""
    table = gradient_table(results)
    columns = (table["classifier"], table["energy inside the foreground"])
    shares = [f"{name} {share}" for name, share in zip(*columns, strict=True)]
    return (
        "Gradients of the loss with respect to the pixels, each clipped to its mean and 3 standard "
        "deviations to either side. Share of their energy inside the foreground, mean of "
        f"{counts_text(table)} test image{'' if set(table['n']) == {1} else 's'} with 95 % intervals: "
        f"{'; '.join(shares)}."
    )


def gradient_table(results: pd.DataFrame) -> pd.DataFrame:
    """One row per classifier: the foreground's share of gradient energy, also over its share of the area."""
    rows, several = ordered(results[results["axis"] == "gradient"]), several_norms(results)
    return pd.DataFrame(
        {
            "classifier": row_label(row, several),
            "energy inside the foreground": interval_text(row, "gradient_share"),
            "foreground's share of the area": f"{100 * row['gradient_foreground_fraction']:.1f} %",
            "energy over area": mean_text(row, "gradient_enrichment"),
            "images without a gradient": int(row["gradient_zero_gradients"]),
            "n": int(row["n"]),
        }
        for _, row in rows.iterrows()
    )


def _original(axes: Axes, arrays: Mapping[str, Any], k: int) -> None:
    show(axes, arrays["original"][k])
    mask = arrays["foreground"][k, 0]
    show_outline(axes, mask)
    name = short(str(arrays["class_names"][int(arrays["labels"][k])]))
    _write(axes, f"label: {name}\n{mask.mean():.0%} foreground")


def _energy(arrays: Mapping[str, Any], c: int, k: int) -> str:
    if arrays["zero_gradient"][c, k]:
        return "no gradient\n"
    return f"{arrays['share'][c, k]:.0%} inside\n{arrays['enrichment'][c, k]:.1f}× its area"


def _write(axes: Axes, text: str) -> None:
    axes.set_xlabel(text, fontsize=7.5, labelpad=2, parse_math=False, fontfamily=families(text))
