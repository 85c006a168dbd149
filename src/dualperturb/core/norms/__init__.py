"""The norms' balls: one class per norm, which draws, places, steps, shrinks and measures.

`place`, `step` and `shrink` work on any number of regions at once. They take a radius or length for each, and
`Regions` that say which pixels' values are measured together; without any, the whole image is one region.
Every norm is a class here and a row of `budgets.NORMS`.
"""

from __future__ import annotations

from dualperturb.core.norms.ball import LARGEST_RADIUS, NormBall
from dualperturb.core.norms.l1 import L1
from dualperturb.core.norms.l2 import L2
from dualperturb.core.norms.linf import Linf

__all__ = ["BALLS", "L1", "L2", "LARGEST_RADIUS", "Linf", "NormBall"]

BALLS: dict[str, type[NormBall]] = {"L2": L2, "Linf": Linf, "L1": L1}  # one per row of `budgets.NORMS`
