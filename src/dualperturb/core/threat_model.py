"""A threat model as numbers, the norm and the radii, before there are images."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dualperturb.core.balls import Ball, Dual
from dualperturb.core.norms import BALLS


@dataclass(frozen=True)
class ThreatModel:
    """Radii really applied, in units of pixels in [0, 1]: one for the whole image, or one per region.

    norm: one of `budgets.NORMS`. eps_b None: plain PGD's threat model, with the single radius eps_f.
    foreground_norm: that of eps_f, where the two regions have different norms.
    """

    norm: str
    eps_f: float
    eps_b: float | None = None
    foreground_norm: str | None = None

    def ball(self, foreground: Tensor, share: float = 1.0) -> Ball:
        """The ball for images with these masks, bool (N, 1, H, W); `share` scales every radius."""
        inside = BALLS[self.foreground_norm or self.norm](share * self.eps_f)
        if self.eps_b is None:
            return inside
        return Dual(inside, BALLS[self.norm](share * self.eps_b), foreground)
