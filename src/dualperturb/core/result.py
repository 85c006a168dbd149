"""The result of an attack, checked where it is made: pixels in [0, 1], norms within the radii."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dualperturb.core.balls import Ball

NORM_TOLERANCE = 1e-4  # relative, on a region's norm


class BrokenThreatModelError(RuntimeError):
    """An attack made examples outside its threat model: a bug of the attack, never a result."""


@dataclass(frozen=True)
class AttackResult:
    """images: (N, C, H, W) in [0, 1]; success: bool (N,), not classified as label; norms: region -> (N,).

    Under a constraint (`pgd`, min_foreground_score): foreground_score (N,), the lowest under any of the
    saliency models, and feasible, bool (N,), whether the score under each is at least its bound.
    """

    images: Tensor
    success: Tensor
    norms: dict[str, Tensor]
    foreground_score: Tensor | None = field(default=None, kw_only=True)
    feasible: Tensor | None = field(default=None, kw_only=True)


def checked_norms(ball: Ball, images: Tensor, found: Tensor) -> dict[str, Tensor]:
    """The norms of `found` - `images` in each region, (N,); both (N, C, H, W), float32 or wider.

    Raises BrokenThreatModelError unless every pixel of `found` lies in [0, 1] and, if the ball has `radii`
    (see `Ball`), every norm is within its radius up to rounding.
    """
    norms = ball.norms(found - images)
    radii = getattr(ball, "radii", {})
    inside = ((found >= 0) & (found <= 1)).all()  # written so that NaN fails, too
    for region, radius in radii.items():
        inside = inside & (norms[region] <= radius * (1 + NORM_TOLERANCE) + _rounding(found)).all()
    if not inside:  # the only wait for a GPU
        raise BrokenThreatModelError(_fault(found, norms, radii))
    return norms


def _rounding(found: Tensor) -> float:
    """How much a norm may grow because each sum of image and perturbation is rounded to float32."""
    return torch.finfo(torch.float32).eps * math.sqrt(found[:1].numel())


def _fault(found: Tensor, norms: dict[str, Tensor], radii: dict[str, float]) -> str:
    told = [f"pixels from {float(found.min()):.8g} to {float(found.max()):.8g}, expected 0 to 1"]
    for region, radius in radii.items():
        told.append(f"{region} norms up to {float(norms[region].max()):.8g}, expected at most {radius}")
    return f"attack: found {'; '.join(told)}"
