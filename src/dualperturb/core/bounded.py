"""The bound on the foreground score as a caller names it, made a constraint, and what it says of a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dualperturb.core.balls import Ball, Dual
from dualperturb.core.bounds import ACCEPTED, reserve
from dualperturb.core.checks import check_place, is_number
from dualperturb.core.climbed import check_models, climbed_models
from dualperturb.core.constraint import Constraint
from dualperturb.core.objectives import Saliency
from dualperturb.core.problem import Problem
from dualperturb.core.result import AttackResult, checked_norms
from dualperturb.core.shown import misclassified
from dualperturb.errors import UserError

Bound = float | str | Tensor
_ACCEPTED = f"accepted: {ACCEPTED}, or a tensor of numbers (N,)"


def bounded(
    problem: Problem, ball: Ball, saliency: Saliency | Sequence[Saliency] | None, bound: Bound | None
) -> Constraint | None:
    """The constraint that an attack's arguments name (see `pgd`), or None. Raises UserError."""
    models = climbed_models(ball, saliency, 0.0, bound, 1)
    check_models(models, problem.images[:1])
    if bound is None or not isinstance(ball, Dual):
        return None
    return constraint(models, problem.images, ball.foreground, bound)


@torch.no_grad()
def constraint(models: Sequence[Saliency], images: Tensor, foreground: Tensor, bound: Bound) -> Constraint:
    """The constraint that `bound` names (see `pgd`). Raises UserError for what is no such bound."""
    no_bound = torch.zeros(len(models), len(images), dtype=images.dtype, device=images.device)
    unbounded = Constraint(tuple(models), images, foreground, no_bound)
    if isinstance(bound, str):
        added = reserve(bound)
        if added is None:
            raise UserError(f"min_foreground_score: found {bound!r}; {_ACCEPTED}")
        return replace(unbounded, bounds=unbounded.scores(images) + added)
    if isinstance(bound, Tensor):
        if bound.shape != (len(images),) or not bound.is_floating_point():
            raise UserError(f"min_foreground_score: found {bound.dtype} {tuple(bound.shape)}; {_ACCEPTED}")
        check_place("min_foreground_score", bound, images)
        wrong = bound[~((bound >= 0) & (bound <= 1))]
        if len(wrong):
            raise UserError(f"min_foreground_score: found {float(wrong[0])}; {_ACCEPTED}")
    elif isinstance(bound, bool) or not is_number(bound) or not 0 <= bound <= 1:
        raise UserError(f"min_foreground_score: found {bound!r}; {_ACCEPTED}")
    binds = isinstance(bound, Tensor) or bound > 0
    return replace(unbounded, bounds=no_bound + bound, binds=binds)


def binding(bound: Constraint | None) -> Constraint | None:
    """The constraint, or None where the number 0 was asked for, which every image holds.

    It is not asked of the images' bounds: what an attack does to one image may not depend on the others.
    """
    return bound if bound is not None and bound.binds else None


@torch.no_grad()
def judged(problem: Problem, ball: Ball, images: Tensor, bound: Constraint | None) -> AttackResult:
    """The result of an attack that found `images`, (N, C, H, W).

    success is as without a bound: not classified as label. Raises what `checked_norms` raises.
    """
    success = misclassified(problem.logits_of(images), problem.labels)
    result = AttackResult(images, success, checked_norms(ball, problem.images, images))
    if bound is None:
        return result
    scores = bound.scores(images)
    margin = (scores - bound.bounds).min(dim=0).values
    return replace(result, foreground_score=scores.min(dim=0).values, feasible=bound.met(images, margin))
