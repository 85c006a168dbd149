"""PGD that leaves an image alone as soon as it is fooled, on the images that are left."""

from __future__ import annotations

import torch
from torch import Tensor

from dualperturb.core.balls import Ball, boxed
from dualperturb.core.objectives import Objective
from dualperturb.core.pgd import clipped

SIZES = (0, 1, *(2**power * part for power in range(12) for part in (2, 3)))  # 2, 3, 4, 6, 8, 12, 16, ...


def perturb_until_fooled(
    objective: Objective, images: Tensor, ball: Ball, start: Tensor, *, steps: int, step_size: float
) -> Tensor:
    """Perturbations as by `perturb`, but from `start`, and an image is left alone as soon as it is fooled.

    objective: without a salience term; under a constraint an image counts as fooled where it holds that, too.
    start: perturbations (N, C, H, W), projected first. An image that was not fooled before the last step ends
    at the objective's outcome: where that step leads, or under a constraint at the best point met.
    """
    delta = clipped(images, ball.project(start))
    found, rows = delta.clone(), torch.arange(len(images), device=images.device)
    stands = torch.ones_like(rows, dtype=torch.bool)
    for length in objective.plan(steps):
        seen, share = images + delta, step_size * length
        here = boxed(ball, images, seen)
        direction, logits = objective.ascent(seen, here, share)
        fooled = objective.fooled(seen, logits, stands)
        if len(fooled):
            found[rows[fooled]] = delta[fooled]
            stands = stands.index_fill(0, fooled, False)
            kept = _worth_keeping(stands)
            if not len(kept):
                return found
            if len(kept) < len(rows):
                rows, stands, images, delta = (part[kept] for part in (rows, stands, images, delta))
                objective, ball, direction = objective.only(kept), ball.only(kept), direction[kept]
                here = boxed(ball, images, images + delta)
        delta = clipped(images, here.project(delta + here.ascend(direction, share)))
    last = images + delta
    best = objective.outcome(last)
    if best is not last:  # which would not give delta back to the last bit
        delta = clipped(images, best - images)
    found[rows[stands]] = delta[stands]
    return found


def _worth_keeping(stands: Tensor) -> Tensor:
    """Positions of the images that stand, and of a few others to fill up to the next number in SIZES.

    A classifier's first pass over a number of images that it has not seen yet is slow, because its kernels
    are prepared for each number.
    """
    order = stands.byte().argsort(descending=True, stable=True)
    count = int(stands.sum())
    return order[: next(size for size in SIZES if size >= count)] if count < SIZES[-1] else order
