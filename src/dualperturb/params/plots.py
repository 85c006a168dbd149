"""The section `plots` of params.yaml: which figures are drawn, and how they look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator

from dualperturb.params.fields import Colour, Dpi, Section, Width, are_distinct, check_keys, is_list
from dualperturb.params.training import DEFENCES

PanelName = Literal[
    "dual_examples",
    "unsuspicious",
    "noise_examples",
    "salience",
    "accuracy",
    "across",
    "gradients",
    "transfer",
    "smoothing",
    "combinations",
    "tradeoff",
]
PANELS: tuple[str, ...] = get_args(PanelName)  # in the page's order, each a module of `figures`
LogAxis = Literal["eps", "eps_f", "eps_b", "salience_weight", "share", "radius"]


# Of named defences that `palette` leaves out: two more of Okabe and Ito's, Tol's muted ones, and a grey.
FURTHER = (
    *("#E69F00", "#000000", "#882255", "#44AA99", "#999933"),
    *("#AA4499", "#332288", "#DDCC77", "#117733", "#888888"),
)


def all_coloured(palette: Mapping[str, object], named: Sequence[str]) -> dict[str, object]:
    """The palette with a colour for each named defence: one that it does not hold, while there are any."""
    held = [str(colour).upper() for colour in palette.values()]
    free = [colour for colour in FURTHER if colour not in held] or FURTHER
    bare = [name for name in named if name not in palette]
    return {**palette, **dict(zip(bare, cycle(free), strict=False))}


def _by_defence(raw: object) -> object:
    """The paper's are asked for; which others may stand here, `params` knows."""
    check_keys(raw, (*DEFENCES, *(raw if isinstance(raw, dict) else ())), DEFENCES)
    return raw


def _log_axes(raw: object) -> object:
    """true: all of them; false: none."""
    if isinstance(raw, bool):
        return get_args(LogAxis) if raw else ()
    return raw if raw == () else is_list(raw)


class Plots(Section):
    """Look of the figures: colours by defence, width in inches, PNG resolution in dots per inch.

    panels: the figures drawn; log_axes: the x axes that are logarithmic, perhaps none.
    """

    palette: Annotated[dict[str, Colour], BeforeValidator(_by_defence)]
    width_inches: Width
    dpi: Dpi
    panels: Annotated[tuple[PanelName, ...], BeforeValidator(is_list), AfterValidator(are_distinct)]
    log_axes: Annotated[tuple[LogAxis, ...], BeforeValidator(_log_axes), AfterValidator(are_distinct)]
