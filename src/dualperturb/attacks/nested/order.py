"""The order in which balls are nested, checked."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dualperturb.core.balls import Ball, Dual
from dualperturb.core.norms import NormBall
from dualperturb.errors import UserError

SAME = 1e-6  # relative difference of two radii that rounding alone may cause


def checked_order(around: Sequence[Sequence[int]] | None, count: int) -> Sequence[Sequence[int]]:
    if around is None:
        return [[place + 1] if place + 1 < count else [] for place in range(count)]
    if len(around) != count or any(not place < j < count for place, js in enumerate(around) for j in js):
        raise UserError(
            f"around: found {[list(js) for js in around]} for {count} balls; accepted: for each ball the "
            "positions of larger ones, which come later"
        )
    return around


def check_nested(balls: Sequence[Ball], around: Sequence[Sequence[int]]) -> None:
    """Refuse another order, in which images would seem robust: one that withstands a ball is left alone in
    those inside it."""
    for place, larger in enumerate(around):
        for other in larger:
            if not _may_lie_inside(balls[place], balls[other]):
                raise UserError(
                    f"balls: found number {place} not inside number {other}, counted from 0; accepted: each "
                    "inside the next, or inside those that `around` names"
                )


def _may_lie_inside(ball: Ball, other: Ball) -> bool:
    """False where the radii or the masks say that it does not; different norms are left to the caller."""
    if isinstance(ball, Dual) and isinstance(other, Dual):
        parts = (ball.inside, other.inside), (ball.outside, other.outside)
        return torch.equal(ball.foreground, other.foreground) and all(_may_lie_inside(*two) for two in parts)
    if isinstance(ball, NormBall) and type(ball) is type(other):
        return ball.radius <= other.radius * (1 + SAME)
    return True
