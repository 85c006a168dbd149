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

from dualperturb.attacks.nested.order import check_nested, checked_order
from dualperturb.attacks.nested.run import perturb_until_fooled
from dualperturb.core.balls import Ball, Dual
from dualperturb.core.bounded import Bound, binding, bounded, judged
from dualperturb.core.checks import check_counts, check_step_size
from dualperturb.core.constraint import ConstrainedObjective, Constraint
from dualperturb.core.devices.precision import resolved
from dualperturb.core.losses import loss_named
from dualperturb.core.objectives import Objective, Saliency, Standing
from dualperturb.core.pgd import clipped
from dualperturb.core.problem import Problem, posed
from dualperturb.core.result import AttackResult, checked_norms
from dualperturb.errors import UserError

MISSED, HELD, FOOLED = 0, 1, 2  # ranks of an image: the bound is missed, is held, is held by one that fools


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
    saliency: Saliency | Sequence[Saliency] | None = None,
    min_foreground_score: Bound | None = None,
) -> list[AttackResult]:
    """One result per ball, in their order; an image that is fooled in a ball is fooled in all around it.

    Under a bound on the foreground score, "fooled" is here: and the bound is held.

    balls: each inside the next. around: if they are nested otherwise, for each ball the positions of the next
    larger ones, which come later. steps: of each run. Other arguments and errors as in `pgd`, without a
    salience term. The first run in a ball begins where the run in the (first) larger ball ended, projected;
    the other restarts begin at random. An image that is misclassified as it is comes back unchanged; one that
    withstood a larger ball comes back as the projection of what it withstood, or as it is if that alone holds
    the bound. Raises UserError also for an `around` that is not as described, for balls of the same norm that
    are not nested, and under a bound for balls that are not all `Dual` with the same foreground.
    """
    if not isinstance(balls, Sequence):
        raise UserError(f"balls: expected a list of balls, got {type(balls).__name__}")
    around = checked_order(around, len(balls))
    problem = posed(model, images, labels, balls, seed=seed, indices=indices)
    check_nested(balls, around)
    check_counts({"steps": steps, "restarts": restarts})
    check_step_size(step_size)
    bound = _bounded(problem, balls, saliency, min_foreground_score)
    wide, task = problem.images, _Task(_objective(problem, binding(bound), loss, precision), problem)
    clean = task.rank(wide)
    wrong = clean == FOOLED
    found: dict[int, tuple[Tensor, Tensor]] = {}
    for place in reversed(range(len(balls))):
        ball, larger = balls[place], [found[other] for other in around[place]]
        start = ball.project(larger[0][0]) if larger else ball.start(wide, problem.seeds(0))
        delta = clipped(wide, start) * ~wrong.view(-1, 1, 1, 1)
        left = ~wrong
        for _, rank in larger:
            left = left & (rank == FOOLED)
        task.attack(ball, delta, left.nonzero().flatten(), steps, step_size, restarts)
        # A projection may fool even an image that was not attacked in this ball.
        rank = task.rank(wide + delta)
        found[place] = _better((torch.zeros_like(delta), clean), (delta, rank))
    return _closed(found, balls, around, problem, bound)


def _bounded(
    problem: Problem,
    balls: Sequence[Ball],
    saliency: Saliency | Sequence[Saliency] | None,
    bound: Bound | None,
) -> Constraint | None:
    if bound is None or not balls:
        return None
    found = bounded(problem, balls[0], saliency, bound)
    masks = [ball.foreground for ball in balls if isinstance(ball, Dual)]
    if len(masks) < len(balls) or not all(torch.equal(mask, masks[0]) for mask in masks):
        raise UserError(
            "balls: found other balls or masks; accepted with min_foreground_score: Dual, of one foreground"
        )
    return found


def _objective(problem: Problem, bound: Constraint | None, loss: str, precision: str) -> Objective:
    raised = loss_named(loss)
    if bound is None:
        copied = problem.gradient_copy(precision)
        return Objective(problem.logits_of, problem.labels, climbed=copied, loss=raised)
    resolved(precision, problem.images.device)  # refuses an unknown name even where no copy is made
    return ConstrainedObjective(problem.logits_of, problem.labels, loss=raised, constraint=bound)


@dataclass(frozen=True)
class _Task:
    """What the attacks in all balls have in common."""

    objective: Objective
    problem: Problem

    def rank(self, images: Tensor) -> Tensor:
        """For all images: FOOLED, else HELD where the bound is held or there is none, else MISSED, (N,)."""
        found = self.objective.standing(images)
        return torch.where(found.success, FOOLED, torch.where(found.held, HELD, MISSED))

    def attack(
        self, ball: Ball, delta: Tensor, rows: Tensor, steps: int, step_size: float, restarts: int
    ) -> None:
        """Attack the images `rows` from their perturbations `delta` (N, C, H, W), which are replaced."""
        none = torch.zeros_like(self.problem.labels, dtype=torch.bool)
        best = Standing(none, none.clone(), torch.full_like(none, -torch.inf, dtype=delta.dtype))
        for restart in range(restarts):
            if not len(rows):
                return
            own, inside = self.problem.images[rows], ball.only(rows)
            start = delta[rows] if restart == 0 else inside.start(own, self.problem.seeds(restart, rows=rows))
            run = self.objective.only(rows)
            end = perturb_until_fooled(run, own, inside, start, steps=steps, step_size=step_size)
            standing = run.standing(own + end)
            better = standing.above(best.only(rows)).nonzero().flatten()
            delta[rows[better]] = end[better]
            for old, new in zip(best, standing, strict=True):
                old[rows[better]] = new[better].to(old.dtype)
            rows = rows[~standing.success]


def _better(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Perturbations and their ranks: `one` for the images for which it ranks higher, else `other`."""
    higher = one[1] > other[1]
    return torch.where(higher.view(-1, 1, 1, 1), one[0], other[0]), torch.where(higher, one[1], other[1])


def _closed(
    found: Mapping[int, tuple[Tensor, Tensor]],
    balls: Sequence[Ball],
    around: Sequence[Sequence[int]],
    problem: Problem,
    bound: Constraint | None,
) -> list[AttackResult]:
    """The results, in which a perturbation that fools in one ball counts in all balls around it."""
    closed = dict(found)
    for place in range(len(balls)):
        for other in around[place]:
            closed[other] = _better(closed[place], closed[other])
    results = []
    for place, ball in enumerate(balls):
        delta, rank = closed[place]
        examples = problem.images + delta
        if bound is not None:
            results.append(judged(problem, ball, examples, bound))
        else:
            norms = checked_norms(ball, problem.images, examples)
            results.append(AttackResult(examples, rank == FOOLED, norms))
    return results
