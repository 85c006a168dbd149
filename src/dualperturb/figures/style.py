"""The look shared by all figures, and saving them with stable bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dualperturb.errors import UserError
from dualperturb.files import replacing

# Sizes in points at the printed size. The default style comes first, so that a reader's own matplotlibrc
# changes nothing; text as outlines in SVG, so that it looks the same without our font.
_RC: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 8,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "svg.hashsalt": "dualperturb",
    "svg.fonttype": "path",
}

# A second cue beside colour, for colour-blind readers and grey prints.
_CUES = {
    "clean": ("o", "-"),
    "at_pgd": ("s", "--"),
    "at_dual": ("^", "-"),
    "smoothing": ("D", ":"),
    "smoothing_dual": ("P", "-"),
}
# Of named defences, in the palette's order.
_FURTHER_CUES = tuple(zip("vX<>*phd8H", ("-.", ":", "--", "-.", ":") * 2, strict=True))


class Style(Protocol):
    """What figures need of the `plots` section of params.yaml."""

    @property
    def palette(self) -> Mapping[str, str]:
        """Line colour by defence."""

    @property
    def width_inches(self) -> float:
        """Width of a figure over both columns; a figure of one column takes half."""

    @property
    def dpi(self) -> int:
        """Dots per inch of the PNG."""

    @property
    def panels(self) -> Sequence[str]:
        """The figures to draw, some of `figures.PANELS`."""

    @property
    def log_axes(self) -> Sequence[str]:
        """The x axes to be logarithmic: some of eps, eps_f, eps_b, salience_weight, share and radius."""


@contextmanager
def house_style() -> Iterator[None]:
    """Context to draw in: the project's font sizes, lines and grid, whatever the reader has configured."""
    with matplotlib.style.context(["default", _RC]):
        yield


def new_figure(width: float, height: float, style: Style) -> Figure:
    """An empty figure of `width` x `height` inches at the style's resolution, with a canvas of its own."""
    figure = Figure(figsize=(width, height), dpi=style.dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def line_cues(defence: str, style: Style) -> dict[str, Any]:
    """Colour, marker and dashes of a defence's line; raises `UserError` where the palette lacks it."""
    if defence not in style.palette:
        raise UserError(f"plots.palette: no colour for defence {defence}, found {', '.join(style.palette)}")
    further = [name for name in style.palette if name not in _CUES]
    cues = _CUES | {name: _FURTHER_CUES[i % len(_FURTHER_CUES)] for i, name in enumerate(further)}
    marker, dashes = cues[defence]
    return {"color": style.palette[defence], "marker": marker, "linestyle": dashes}


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write `stem`.png and `stem`.svg (same figure, same bytes), empty the figure, return the two paths."""
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg")]
    with house_style():
        for path in paths:
            metadata = {"Date": None} if path.suffix == ".svg" else {}
            with replacing(path) as temporary:
                figure.savefig(temporary, dpi="figure", metadata=metadata)
    figure.clear()
    return paths
