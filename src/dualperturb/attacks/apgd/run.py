"""One run of Auto-PGD: what it remembers of each image, its steps, and when they are halved.

Croce & Hein 2020, section 3 and Algorithm 1 (see `apgd`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dualperturb.attacks.apgd.task import Task, Visited

FIRST_SHARE = 2.0  # how far the first step moves, as a share of the radius
MOMENTUM = 0.75  # alpha: the weight of the new step, against the repeated last one
ENOUGH_RISES = 0.75  # rho: where no more than this share of the steps raised the loss, steps are halved


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
