"""PGD inside nested balls, from the largest to the smallest: a sweep for little more than one attack.

An image that withstands a ball is right in every smaller one, and an example in a ball lies in every larger
one, too. So only images that were fooled in a ball are attacked in those inside it, from the perturbation
that fooled them, and an image is left alone as soon as it is fooled. In the other order every robust image
would be attacked in every ball, and on a defended classifier most images are robust.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dualperturb.core.balls import Ball, Dual, boxed
from dualperturb.core.checks import check_counts, check_step_size
from dualperturb.core.losses import loss_named
from dualperturb.core.norms import NormBall
from dualperturb.core.objectives import Objective
from dualperturb.core.pgd import clipped
from dualperturb.core.problem import Problem, posed
from dualperturb.core.result import AttackResult, checked_norms
from dualperturb.core.shown import misclassified
from dualperturb.errors import UserError

SIZES = (0, 1, *(2**power * part for power in range(12) for part in (2, 3)))  # 2, 3, 4, 6, 8, 12, 16, ...
SAME = 1e-6  # relative difference of two radii that rounding alone may cause


@torch.no_grad()
def nested_pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    balls: Sequence[Ball],
    *,
    steps: int,
    step_size: float,
    restarts: int = 1,
    seed: int = 0,
    indices: Sequence[int] | None = None,
    loss: str = "cross_entropy",
    precision: str = "fp32",
    around: Sequence[Sequence[int]] | None = None,
) -> list[AttackResult]:
    """One result per ball, in their order; an image that is fooled in a ball is fooled in all around it.

    balls: each inside the next. around: if they are nested otherwise, for each ball the positions of the next
    larger ones, which come later. steps: of each run. Other arguments and errors as in `pgd`, without a
    salience term. The first run in a ball begins where the run in the (first) larger ball ended, projected;
    the other restarts begin at random. An image that is misclassified as it is comes back unchanged; one that
    withstood a larger ball comes back as the projection of what it withstood. Raises UserError also for an
    `around` that is not as described, and for balls of the same norm that are not nested.
    """
    if not isinstance(balls, Sequence):
        raise UserError(f"balls: expected a list of balls, got {type(balls).__name__}")
    around = _checked_order(around, len(balls))
    problem = posed(model, images, labels, balls, seed=seed, indices=indices)
    _check_nested(balls, around)
    check_counts({"steps": steps, "restarts": restarts})
    check_step_size(step_size)
    wide, copied = problem.images, problem.gradient_copy(precision)
    task = _Task(Objective(problem.logits_of, labels, climbed=copied, loss=loss_named(loss)), problem)
    wrong = task.fooled(wide)
    found: dict[int, tuple[Tensor, Tensor]] = {}
    for place in reversed(range(len(balls))):
        ball, larger = balls[place], [found[other] for other in around[place]]
        start = ball.project(larger[0][0]) if larger else ball.start(wide, problem.seeds(0))
        delta = clipped(wide, start) * ~wrong.view(-1, 1, 1, 1)
        left = ~wrong
        for _, fooled in larger:
            left = left & fooled
        task.attack(ball, delta, left.nonzero().flatten(), steps, step_size, restarts)
        # A projection may fool even an image that was not attacked in this ball.
        found[place] = delta, task.fooled(wide + delta)
    return _closed(found, balls, around, wide)


def _checked_order(around: Sequence[Sequence[int]] | None, count: int) -> Sequence[Sequence[int]]:
    if around is None:
        return [[place + 1] if place + 1 < count else [] for place in range(count)]
    if len(around) != count or any(not place < j < count for place, js in enumerate(around) for j in js):
        raise UserError(
            f"around: found {[list(js) for js in around]} for {count} balls; accepted: for each ball the "
            "positions of larger ones, which come later"
        )
    return around


def _check_nested(balls: Sequence[Ball], around: Sequence[Sequence[int]]) -> None:
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


@dataclass(frozen=True)
class _Task:
    """What the attacks in all balls have in common."""

    objective: Objective
    problem: Problem

    def fooled(self, images: Tensor, rows: Tensor | None = None) -> Tensor:
        labels = self.objective.labels if rows is None else self.objective.labels[rows]
        return misclassified(self.objective.model(images), labels)

    def attack(
        self, ball: Ball, delta: Tensor, rows: Tensor, steps: int, step_size: float, restarts: int
    ) -> None:
        """Attack the images `rows` from their perturbations `delta` (N, C, H, W), which are replaced."""
        for restart in range(restarts):
            if not len(rows):
                return
            own, inside = self.problem.images[rows], ball.only(rows)
            start = delta[rows] if restart == 0 else inside.start(own, self.problem.seeds(restart, rows=rows))
            run = self.objective.only(rows)
            end = perturb_until_fooled(run, own, inside, start, steps=steps, step_size=step_size)
            delta[rows] = end
            rows = rows[~self.fooled(own + end, rows)]


def _closed(
    found: Mapping[int, tuple[Tensor, Tensor]],
    balls: Sequence[Ball],
    around: Sequence[Sequence[int]],
    images: Tensor,
) -> list[AttackResult]:
    """The results, in which a perturbation that fools in one ball counts in all balls around it."""
    closed = dict(found)
    for place in range(len(balls)):
        delta, fooled = closed[place]
        for other in around[place]:
            own, known = closed[other]
            closed[other] = torch.where((fooled & ~known).view(-1, 1, 1, 1), delta, own), known | fooled
    results = []
    for place, ball in enumerate(balls):
        examples = images + closed[place][0]
        results.append(AttackResult(examples, closed[place][1], checked_norms(ball, images, examples)))
    return results


def perturb_until_fooled(
    objective: Objective, images: Tensor, ball: Ball, start: Tensor, *, steps: int, step_size: float
) -> Tensor:
    """Perturbations as by `perturb`, but from `start`, and an image is left alone as soon as it is fooled.

    objective: without a salience term. start: perturbations (N, C, H, W), projected first. An image that was
    not fooled before the last step ends where that step leads.
    """
    delta = clipped(images, ball.project(start))
    found, rows = delta.clone(), torch.arange(len(images), device=images.device)
    stands = torch.ones_like(rows, dtype=torch.bool)
    for _ in range(steps):
        seen = images + delta
        gradient, logits = objective.loss_gradient(seen)
        fooled = objective.fooled(seen, logits, stands)
        if len(fooled):
            found[rows[fooled]] = delta[fooled]
            stands = stands.index_fill(0, fooled, False)
            kept = _worth_keeping(stands)
            if not len(kept):
                return found
            if len(kept) < len(rows):
                rows, stands, images, delta = (part[kept] for part in (rows, stands, images, delta))
                objective, ball, gradient = objective.only(kept), ball.only(kept), gradient[kept]
        here = boxed(ball, images, images + delta)
        delta = clipped(images, here.project(delta + here.ascend(gradient, step_size)))
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
