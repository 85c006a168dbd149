"""What an Auto-PGD run attacks and what it sees at a point, under a bound on the foreground score or without.

Under a bound (ours) a step follows `Constraint.direction`. A point that holds the bound is worth its loss,
one that misses the bound is worth less, by as much as it misses it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from dualperturb.attacks.losses import Loss
from dualperturb.core.balls import Ball, boxed
from dualperturb.core.constraint import Constraint, Slopes
from dualperturb.core.gradients import gradient_of
from dualperturb.core.shown import misclassified

LARGEST_LOSS = 1e30  # an infinite one, squashed, would be NaN
TIE = 0.01  # the weight of the squashed loss beside a margin below 0: it decides among points alike


class Visited(NamedTuple):
    """Perturbations (n, C, H, W), what they are worth (n,), and `Slopes` there.

    Without a constraint the bound counts as held, and the score's gradient is empty, (n, 0, H, W).
    """

    delta: Tensor
    value: Tensor
    loss: Tensor
    score: Tensor
    margin: Tensor
    held: Tensor
    fooled: Tensor

    @property
    def done(self) -> Tensor:
        """Whether the run may end here, bool (n,)."""
        return self.fooled & self.held

    def only(self, rows: Tensor) -> Visited:
        return Visited(*(part[rows] for part in self))

    def where(self, chosen: Tensor, other: Visited) -> Visited:
        """`other` for the images with a true `chosen`, bool (n,)."""
        pairs = zip(self, other, strict=True)
        return Visited(*(torch.where(like(chosen, old), new, old) for old, new in pairs))


@dataclass(frozen=True)
class Task:
    """What a run attacks. images: (n, C, H, W), float32 or wider. bound: None where nothing is to be held."""

    model: Callable[[Tensor], Tensor]
    loss: Loss
    images: Tensor
    labels: Tensor
    targets: Tensor
    ball: Ball
    bound: Constraint | None = None

    def only(self, rows: Tensor) -> Task:
        """The same for some of the images; rows: positions, or bool (n,)."""
        return replace(
            self,
            images=self.images[rows],
            labels=self.labels[rows],
            targets=self.targets[rows],
            ball=self.ball.only(rows),
            bound=self.bound and self.bound.only(rows),
        )

    def inside(self, delta: Tensor) -> Tensor:
        """Projected onto the ball and then clipped to the pixel range, which never lengthens it."""
        ball = boxed(self.ball, self.images, self.images)
        return (self.images + ball.project(delta)).clamp(0, 1) - self.images

    def look(self, delta: Tensor) -> Visited:
        pixels = (self.images + delta).requires_grad_(True)
        with torch.enable_grad():
            logits = widened(self.model(pixels))
            loss = self.loss(logits, self.labels, self.targets)
            gradient = gradient_of("model", loss, pixels)
        loss, fooled = loss.detach(), misclassified(logits, self.labels)
        if self.bound is None:
            held = torch.ones_like(fooled)
            return Visited(delta, loss, gradient, gradient[:, :0], torch.zeros_like(loss), held, fooled)
        score, margin = self.bound.climb(pixels)
        held = self.bound.met(pixels, margin)
        return Visited(delta, worth(loss, held, margin), gradient, score, margin, held, fooled)

    def aim(self, seen: Visited, share: Tensor) -> Tensor:
        """Where a step by a share of the radius, (n,), leads to."""
        ball = boxed(self.ball, self.images, self.images + seen.delta)

        def step(direction: Tensor) -> Tensor:
            return ball.ascend(direction, 1.0) * like(share, direction)

        climb = seen.loss
        if self.bound is not None:
            slopes = Slopes(seen.loss, seen.score, seen.margin, seen.held, seen.fooled)
            climb = self.bound.direction(slopes, step)
        return self.inside(seen.delta + step(climb))


def worth(loss: Tensor, held: Tensor, margin: Tensor) -> Tensor:
    """What points are worth under a bound, (n,): where it is held the loss, from -1 up, and else the margin.

    Where the bound is held, a loss of at least 0 is its own worth.
    """
    finite = loss.clamp(-LARGEST_LOSS, LARGEST_LOSS)
    squashed = finite / (1 + finite.abs())
    return torch.where(held, torch.where(finite < 0, squashed, finite), margin - 2 + TIE * squashed)


def like(values: Tensor, other: Tensor) -> Tensor:
    """(n,) -> a view that broadcasts with `other`, (n, ...)."""
    return values.view(-1, *(1,) * (other.ndim - 1))


def widened(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
