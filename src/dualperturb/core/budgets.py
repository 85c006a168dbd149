"""The norms of budgets, one row each, and the radius that a budget at the paper's scale means in each.

`core.norms` holds a class for each row, which draws, steps and projects. Imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass

PAPER_SIDE = 224  # pixels: the paper's budgets are ImageNet-10's


@dataclass(frozen=True)
class Unit:
    """The unit in which a budget is written. parts: how many units make 1, the range of a pixel's value."""

    parts: int
    spoken: str
    drawn: str  # for matplotlib


AT_PAPER_SCALE = Unit(
    1, f"at the paper's scale (images of {PAPER_SIDE}x{PAPER_SIDE})", rf"at {PAPER_SIDE}$\times${PAPER_SIDE}"
)
IN_GREY_LEVELS = Unit(255, "in 1/255", "in 1/255")


@dataclass(frozen=True)
class Norm:
    """What params.yaml, the tables and the figures know of a norm.

    order: the p of |x|_p, with which the norm of a finished example is measured again. name: for texts;
    symbol: for figures. unit: the unit of its budgets. in_autoattack: whether AutoAttack knows it.
    """

    order: float
    name: str
    symbol: str
    unit: Unit
    in_autoattack: bool = False


NORMS = {
    "L2": Norm(2, "L2", "$L_2$", AT_PAPER_SCALE, in_autoattack=True),
    "Linf": Norm(float("inf"), "L-infinity", r"$L_\infty$", IN_GREY_LEVELS, in_autoattack=True),
    "L1": Norm(1, "L1", "$L_1$", AT_PAPER_SCALE, in_autoattack=True),
}


def applied_radius(norm: str, value: float, side: int, eps_scale: str | float) -> float:
    """The radius in pixels of [0, 1] for a budget `value` on images of `side` pixels.

    eps_scale: how much larger a length is than at the paper's scale; "auto" is side / 224. When every pixel
    changes by the same amount, the norm grows as the (2 / order)th power of eps_scale: not at all in Linf,
    like a length in L2, like an area in L1.
    """
    row = NORMS[norm]
    scale = side / PAPER_SIDE if isinstance(eps_scale, str) else eps_scale
    grown: float = scale ** (2 / row.order)
    return value * grown / row.unit.parts
