"""From a budget at the paper's scale to the radius really applied."""

from __future__ import annotations

PAPER_SIDE = 224  # pixels: the paper's budgets are ImageNet-10's


def applied_radius(norm: str, value: float, side: int, eps_scale: str | float) -> float:
    """The radius in pixels of [0, 1] for a budget `value` on images of `side` pixels.

    L2: times eps_scale, where "auto" is side / 224, since an L2 norm grows with the side;
    Linf: in units of 1/255.
    """
    if norm == "Linf":
        return value / 255
    return value * (side / PAPER_SIDE if isinstance(eps_scale, str) else eps_scale)
