"""Auto-PGD over any ball: the step size and the returns to the best point follow from the run itself.

Croce & Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
attacks", section 3 and Algorithm 1; where the paper leaves room, as in its published code. Over a `Dual` ball
a step is the same share of both radii, and that share is adapted image by image. An image that is fooled
leaves the run, which saves most of its time. The classifier is left as it is, as `pgd` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dualperturb.attacks.losses import LOSSES, Loss, others
from dualperturb.core.balls import Ball, boxed
from dualperturb.core.checks import check_counts
from dualperturb.core.gradients import gradient_of
from dualperturb.core.problem import posed
from dualperturb.core.result import AttackResult, checked_norms
from dualperturb.core.shown import misclassified
from dualperturb.errors import UserError

FIRST_SHARE = 2.0  # how far the first step moves, as a share of the radius
MOMENTUM = 0.75  # alpha: the weight of the new step, against the repeated last one
ENOUGH_RISES = 0.75  # rho: where no more than this share of the steps raised the loss, steps are halved


def apgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    ball: Ball,
    *,
    loss: str = "ce",
    steps: int = 100,
    restarts: int = 1,
    targets: int = 9,
    seed: int = 0,
    indices: Sequence[int] | None = None,
) -> AttackResult:
    """Attack `model` inside `ball`: the first point met that is misclassified, else the one of highest loss.

    model, images, labels, seed, indices: as in `pgd`; at least 2 classes. An image that is misclassified as
    it is comes back unchanged. loss: "ce", "dlr" or "dlr-targeted" (see `losses`). "dlr-targeted" runs once
    for each of the `targets` likeliest other classes of the clean image, or for all if there are fewer.
    restarts: random starts, for every target. Every run attacks what the runs before it have not fooled.

    Raises UserError for images outside [0, 1], labels or indices that do not fit them, an unknown loss,
    counts below 1, and a model without a gradient.
    """
    problem = posed(model, images, labels, [ball], seed=seed, indices=indices)
    check_counts({"steps": steps, "restarts": restarts, "targets": targets})
    if loss not in LOSSES:
        raise UserError(f"loss: found {loss!r}, accepted are {', '.join(LOSSES)}")
    wide, logits_of = problem.images, problem.logits_of
    with torch.no_grad():
        logits = _widened(logits_of(wide))
    goals = others(logits, labels)[:, :targets] if loss == "dlr-targeted" else labels[:, None]
    found, highest = wide.clone(), torch.full_like(labels, -torch.inf, dtype=wide.dtype)
    left = ~misclassified(logits, labels)
    for run in range(goals.shape[1] * restarts):
        rows, rank = left.nonzero().flatten(), run // restarts
        if not len(rows):
            break
        # Three words, the last not 0, so that no other attack with this seed has these streams.
        seeds = problem.seeds(list(LOSSES).index(loss), run, 1, rows=rows)
        task = Task(logits_of, LOSSES[loss], wide, labels, goals[:, rank], ball)
        end = climb(task.only(rows), steps, seeds)
        better = (end.fooled | (end.value > highest[rows])).nonzero().flatten()
        found[rows[better]] = end.delta[better] + wide[rows[better]]
        highest[rows[better]] = end.value[better]
        left[rows] = ~end.fooled
    with torch.no_grad():
        success = misclassified(logits_of(found), labels)
    return AttackResult(found, success, checked_norms(ball, wide, found))


class Visited(NamedTuple):
    """Perturbations (n, C, H, W), the loss there (n,), its gradient, and whether they fool, bool (n,)."""

    delta: Tensor
    value: Tensor
    gradient: Tensor
    fooled: Tensor

    def only(self, rows: Tensor) -> Visited:
        return Visited(*(part[rows] for part in self))

    def where(self, chosen: Tensor, other: Visited) -> Visited:
        """`other` for the images with a true `chosen`, bool (n,)."""
        pairs = zip(self, other, strict=True)
        return Visited(*(torch.where(_like(chosen, old), new, old) for old, new in pairs))


@dataclass(frozen=True)
class Task:
    """What a run attacks. images: (n, C, H, W), float32 or wider."""

    model: Callable[[Tensor], Tensor]
    loss: Loss
    images: Tensor
    labels: Tensor
    targets: Tensor
    ball: Ball

    def only(self, rows: Tensor) -> Task:
        """The same for some of the images; rows: positions, or bool (n,)."""
        return replace(
            self,
            images=self.images[rows],
            labels=self.labels[rows],
            targets=self.targets[rows],
            ball=self.ball.only(rows),
        )

    def inside(self, delta: Tensor) -> Tensor:
        """Projected onto the ball and then clipped to the pixel range, which never lengthens it."""
        ball = boxed(self.ball, self.images, self.images)
        return (self.images + ball.project(delta)).clamp(0, 1) - self.images

    def look(self, delta: Tensor) -> Visited:
        pixels = (self.images + delta).requires_grad_(True)
        with torch.enable_grad():
            logits = _widened(self.model(pixels))
            value = self.loss(logits, self.labels, self.targets)
            gradient = gradient_of("model", value, pixels)
        return Visited(delta, value.detach(), gradient, misclassified(logits, self.labels))


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


def climb(task: Task, steps: int, seeds: Sequence[int]) -> Visited:
    """One run of Algorithm 1 from a random start: where each image was first fooled, else its best point."""
    now = task.look(task.inside(task.ball.start(task.images, seeds)))
    ones = torch.ones_like(now.value)
    seen = RunState(now, now, now.delta, FIRST_SHARE * ones, 0 * ones, ones.bool(), now.value)
    end, rows = Visited(*(part.clone() for part in now)), torch.arange(len(ones), device=ones.device)
    checks = checkpoints(steps)
    for step in range(1, steps + 1):
        left = (~seen.now.fooled).nonzero().flatten()  # the step's only wait for a GPU
        if len(left) < len(rows):
            _write(end, rows, seen.now)  # those left are written again later
            task, seen, rows = task.only(left), seen.only(left), rows[left]
        if not len(rows):
            return end
        seen = _stepped(task, seen, MOMENTUM if step > 1 else 1.0)
        if step in checks:
            seen = _adapted(seen, checks[step])
    _write(end, rows, seen.best.where(seen.now.fooled, seen.now))
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
    # Where the gradient is zero, so is the step, and the momentum carries on.
    ball = boxed(task.ball, task.images, task.images + now.delta)
    ascent = ball.ascend(now.gradient, 1.0) * _like(seen.share, now.delta)
    aim = task.inside(now.delta + ascent)
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
    halved = ((seen.rises <= ENOUGH_RISES * interval) | stalled) & ~seen.now.fooled
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


def _widened(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
