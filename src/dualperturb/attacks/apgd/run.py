"""One run of Auto-PGD: what it remembers of each image, its steps, and when they are halved.

Croce & Hein 2020, section 3 and Algorithm 1 (see `apgd`). Under a constraint on the foreground score (ours) a
step follows `Constraint.direction`, a point that holds the bound is worth its loss, and one that does not is
worth less, by as much as the bound is missed. A run ends where an image is fooled and the bound held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from dualperturb.attacks.losses import Loss
from dualperturb.core.balls import Ball, boxed
from dualperturb.core.constraint import Constraint, Slopes
from dualperturb.core.gradients import gradient_of
from dualperturb.core.shown import misclassified

FIRST_SHARE = 2.0  # how far the first step moves, as a share of the radius
MOMENTUM = 0.75  # alpha: the weight of the new step, against the repeated last one
ENOUGH_RISES = 0.75  # rho: where no more than this share of the steps raised the loss, steps are halved
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
        return Visited(*(torch.where(_like(chosen, old), new, old) for old, new in pairs))


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
            return ball.ascend(direction, 1.0) * _like(share, direction)

        climb = seen.loss
        if self.bound is not None:
            slopes = Slopes(seen.loss, seen.score, seen.margin, seen.held, seen.fooled)
            climb = self.bound.direction(slopes, step)
        return self.inside(seen.delta + step(climb))


class RunState(NamedTuple):
    """What a run remembers of each image."""

    now: Visited
    best: Visited
    before: Tensor  # the perturbation one step ago
    share: Tensor  # how far a step moves, as a share of the radius, (n,)
    rises: Tensor  # steps since the last checkpoint that raised the loss, (n,)
    halved: Tensor  # whether the last checkpoint halved the share, bool (n,)
    mark: Tensor  # the highest loss at the last checkpoint, (n,)

    def only(self, rows: Tensor) -> RunState:
        now, best, *rest = self
        return RunState(now.only(rows), best.only(rows), *(part[rows] for part in rest))


def worth(loss: Tensor, held: Tensor, margin: Tensor) -> Tensor:
    """What points are worth under a bound, (n,): where it is held the loss, from -1 up, and else the margin.

    Where the bound is held, a loss of at least 0 is its own worth.
    """
    finite = loss.clamp(-LARGEST_LOSS, LARGEST_LOSS)
    squashed = finite / (1 + finite.abs())
    return torch.where(held, torch.where(finite < 0, squashed, finite), margin - 2 + TIE * squashed)


def climb(task: Task, steps: int, seeds: Sequence[int]) -> Visited:
    """One run of Algorithm 1 from a random start: where each image was first fooled, else its best point."""
    now = task.look(task.inside(task.ball.start(task.images, seeds)))
    ones = torch.ones_like(now.value)
    seen = RunState(now, now, now.delta, FIRST_SHARE * ones, 0 * ones, ones.bool(), now.value)
    end, rows = Visited(*(part.clone() for part in now)), torch.arange(len(ones), device=ones.device)
    checks = checkpoints(steps)
    for step in range(1, steps + 1):
        left = (~seen.now.done).nonzero().flatten()  # the step's only wait for a GPU
        if len(left) < len(rows):
            _write(end, rows, seen.now)  # those left are written again later
            task, seen, rows = task.only(left), seen.only(left), rows[left]
        if not len(rows):
            return end
        seen = _stepped(task, seen, MOMENTUM if step > 1 else 1.0)
        if step in checks:
            seen = _adapted(seen, checks[step])
    _write(end, rows, seen.best.where(seen.now.done, seen.now))
    return end


def checkpoints(steps: int) -> dict[int, int]:
    """The steps after which the share is reconsidered, and how many steps each looks back on (section 3.1).

    22 % of the steps, then always 3 % fewer, but at least 6 %; rounded down, at least one step.
    """
    interval, least, less = (max(int(share * steps), 1) for share in (0.22, 0.06, 0.03))
    found, step = {}, interval
    while step <= steps:
        found[step] = interval
        interval = max(interval - less, least)
        step += interval
    return found


def _stepped(task: Task, seen: RunState, momentum: float) -> RunState:
    """Algorithm 1, lines 5 to 9."""
    now = seen.now
    aim = task.aim(now, seen.share)  # where the gradient is zero, so is the step, and the momentum carries on
    mixed = now.delta + momentum * (aim - now.delta) + (1 - momentum) * (now.delta - seen.before)
    new = task.look(task.inside(mixed))
    return seen._replace(
        now=new,
        best=seen.best.where(new.value > seen.best.value, new),
        before=now.delta,
        rises=seen.rises + (new.value > now.value),
    )


def _adapted(seen: RunState, interval: int) -> RunState:
    """Section 3.1's two conditions; where one holds the share is halved and the run returns to its best."""
    stalled = ~seen.halved & (seen.mark >= seen.best.value)
    halved = ((seen.rises <= ENOUGH_RISES * interval) | stalled) & ~seen.now.done
    # The next rise is measured from the loss of the point left behind, as in the published code.
    back = seen.best._replace(value=seen.now.value)
    return seen._replace(
        now=seen.now.where(halved, back),
        share=torch.where(halved, seen.share / 2, seen.share),
        rises=torch.zeros_like(seen.rises),
        halved=halved,
        mark=seen.best.value,
    )


def _write(end: Visited, rows: Tensor, points: Visited) -> None:
    for old, new in zip(end, points, strict=True):
        old[rows] = new


def _like(values: Tensor, other: Tensor) -> Tensor:
    """(n,) -> a view that broadcasts with `other`, (n, ...)."""
    return values.view(-1, *(1,) * (other.ndim - 1))


def widened(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
