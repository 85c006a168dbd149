"""One run of projected gradient descent: a start, steps, projections; for plain PGD and for the dual attack.

Madry et al. 2018 for PGD; "Towards Robustness against Unsuspicious Adversarial Examples" for the two regions
and the salience term. The runs leave the classifier as it is: its mode, its parameters and their gradients.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dualperturb.core.objectives import Objective
from dualperturb.core.threat import Ball

SIZES = (0, 1, *(2**power * part for power in range(12) for part in (2, 3)))  # 2, 3, 4, 6, 8, 12, 16, ...


def perturb(
    objective: Objective,
    images: Tensor,
    ball: Ball,
    *,
    steps: int,
    step_size: float,
    seeds: Sequence[int],
) -> Tensor:
    """All steps from a random start, without scoring: adversarial images (N, C, H, W) in [0, 1].

    images: float32 or wider; a narrower type would round the sum of image and perturbation past the budget.
    step_size: share of each region's radius a step moves. After every step the perturbation is projected
    region by region and then clipped to the pixel range, which never lengthens it.
    """
    delta = clipped(images, ball.start(images, seeds))
    for done, length in objective.plan(steps):
        gradient = objective.gradient(images + delta, done)
        delta = clipped(images, ball.project(delta + ball.ascend(gradient, step_size * length)))
    return objective.outcome(images + delta)


def perturb_until_fooled(
    objective: Objective, images: Tensor, ball: Ball, start: Tensor, *, steps: int, step_size: float
) -> Tensor:
    """As `perturb` from `start`, but an image is left alone as soon as it is fooled: perturbations.

    objective: without a salience term. start: perturbations (N, C, H, W), projected first. An image that was
    not fooled before the last step ends where that step leads.
    """
    delta = clipped(images, ball.project(start))
    found, rows = delta.clone(), torch.arange(len(images), device=images.device)
    stands = torch.ones_like(rows, dtype=torch.bool)
    for _ in range(steps):
        gradient, logits = objective.loss_gradient(images + delta)
        fooled = objective.fooled(images + delta, logits, stands)
        found[rows[fooled]] = delta[fooled]
        stands = stands & ~fooled
        kept = _worth_keeping(stands)
        if len(kept) < len(rows):
            rows, stands, images, delta = (part[kept] for part in (rows, stands, images, delta))
            objective, ball, gradient = objective.only(kept), ball.only(kept), gradient[kept]
        if not len(rows):
            return found
        delta = clipped(images, ball.project(delta + ball.ascend(gradient, step_size)))
    found[rows[stands]] = delta[stands]
    return found


def _worth_keeping(stands: Tensor) -> Tensor:
    """Positions of the images that stand, and of a few others up to the next number of a short list.

    A classifier's first pass over a number of images that it has not seen yet is slow: its kernels are
    prepared for each.
    """
    order = torch.cat([stands.nonzero(), (~stands).nonzero()]).flatten()
    count = int(stands.sum())
    return order[: next(size for size in SIZES if size >= count)] if count < SIZES[-1] else order


def clipped(images: Tensor, delta: Tensor) -> Tensor:
    """The perturbation that keeps the pixels in [0, 1]."""
    return (images + delta).clamp(0, 1) - images
