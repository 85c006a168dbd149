"""PGD and the dual-perturbation attack: one function over any ball, with restarts, judged by the classifier.

Madry et al. 2018 for PGD; "Towards Robustness against Unsuspicious Adversarial Examples" for the two regions
and the salience term. The classifier is left as it is: its mode, its parameters and their gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dualperturb.core.balls import Ball, Dual, boxed
from dualperturb.core.bounded import Bound, binding, constraint, judged
from dualperturb.core.checks import check_counts, check_step_size
from dualperturb.core.climbed import check_models, climbed_models
from dualperturb.core.constraint import ConstrainedObjective
from dualperturb.core.devices.precision import resolved
from dualperturb.core.losses import loss_named
from dualperturb.core.objectives import Objective, Saliency, Standing
from dualperturb.core.problem import Problem, posed
from dualperturb.core.result import AttackResult, checked_norms


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
    step_size: how far a step moves, as a share of each region's radius. After every step the perturbation is
    projected region by region and then clipped to the pixel range, which never lengthens it.
    """
    seen = ball.start(images, seeds).add_(images).clamp_(0, 1)
    for length in objective.plan(steps):
        here = boxed(ball, images, seen)
        step = objective.step(seen, here, step_size * length)
        seen = here.project(step.add_(seen).sub_(images)).add_(images).clamp_(0, 1)
    return objective.outcome(seen)


def clipped(images: Tensor, delta: Tensor) -> Tensor:
    """The perturbation that keeps the pixels in [0, 1]."""
    return (images + delta).clamp(0, 1) - images


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    ball: Ball,
    *,
    steps: int,
    step_size: float,
    restarts: int = 1,
    seed: int = 0,
    indices: Sequence[int] | None = None,
    saliency: Saliency | Sequence[Saliency] | None = None,
    salience_weight: float = 0.0,
    loss: str = "cross_entropy",
    salience_every: int = 1,
    precision: str = "fp32",
    min_foreground_score: Bound | None = None,
) -> AttackResult:
    """Attack `model` inside `ball`. Of several restarts each image keeps the first success, else the one of
    highest objective; later restarts leave alone the images that an earlier one fooled.

    model: maps pixels (N, C, H, W) in [0, 1] to logits, or to what holds them (see `shown.logits_in`); it is
    shown a copy. Put it into eval mode first; the mode is not changed, and a part in train mode that acts
    otherwise there is refused. Where its answers to the same images differ, one line says so (see `steady`).
    images: float (N, C, H, W) in [0, 1], but for rounding; the attack computes in float32 (float64 if given),
    and the model sees the type that was given.
    labels: int64 (N,). step_size: share of each radius. indices: names of the images for their random
    streams, by default 0..N-1. saliency: images -> log density (N, H, W), needed if salience_weight > 0;
    then `ball` must be a `Dual`, on whose mask the foreground score is taken. loss: what is raised, to which
    the salience term is added: "cross_entropy", "margin" or "dlr" (see `losses`).
    salience_every: the gradient of the foreground score is renewed once in so many steps.
    min_foreground_score: a constraint in place of the salience term (see `constraint`; ours): the loss is
    maximised subject to a foreground score of at least this number in [0, 1], a number per image in a tensor
    (N,), "clean" (its own score before the attack) or such as "clean-0.05" and, with a reserve, "clean+0.05".
    saliency may then be several models; the bound holds for each. The best image met is returned: one that
    fools and holds the bound, else one that holds it, else one of higher loss. The image itself counts as
    met. A bound that cannot be held is no error: `feasible` is False there. A bound of 0 is none.
    precision: "bf16" takes gradients of a copy of the classifier in bfloat16 (see `gradient_copy`; the model
    must be in eval mode), "auto" of a copy in bfloat16 where the hardware is fast in it, else in float32.
    Where no copy works, they are taken of the model itself, which always judges success. The constraint
    judges every step, so that it takes the model itself.

    Raises UserError for images outside [0, 1], for labels, masks or indices that do not fit them or are on
    another device, for counts below 1, for a model or a saliency model without a gradient or in train mode,
    for answers without logits, and for maps that are no log density. Where the gradient is NaN, pixels stay
    as they are, and an image whose logits are NaN does not count as fooled. Raises BrokenThreatModelError for
    a result outside the ball, which would be a fault of the attack's own.
    """
    problem = posed(model, images, labels, [ball], seed=seed, indices=indices)
    check_counts({"steps": steps, "restarts": restarts, "salience_every": salience_every})
    check_step_size(step_size)
    models = climbed_models(ball, saliency, salience_weight, min_foreground_score, salience_every)
    wide, climbed_loss = problem.images, loss_named(loss)
    resolved(precision, wide.device)  # refuses an unknown name even where no copy is made
    check_models(models, wide[:1])
    foreground = ball.foreground if isinstance(ball, Dual) else None
    bound = None
    if min_foreground_score is not None and foreground is not None:
        bound = constraint(models, wide, foreground, min_foreground_score)
    kept = _Kept.clean(wide, labels)
    if binding(bound) is not None:
        whole: Objective = ConstrainedObjective(
            problem.logits_of, labels, loss=climbed_loss, constraint=bound
        )
        kept = kept.or_better(torch.arange(len(wide), device=wide.device), wide, whole)
    else:
        salience = (models[0] if salience_weight else None, salience_weight, foreground, salience_every)
        copied = problem.gradient_copy(precision)
        whole = Objective(problem.logits_of, labels, *salience, copied, climbed_loss)
    kept = _restarted(whole, problem, ball, kept, restarts, steps=steps, step_size=step_size)
    if bound is not None:
        return judged(problem, ball, kept.images, bound)
    return AttackResult(kept.images, kept.standing.success, checked_norms(ball, wide, kept.images))


def _restarted(
    objective: Objective, problem: Problem, ball: Ball, kept: _Kept, restarts: int, **settings: Any
) -> _Kept:
    """The best of `kept` and of every restart; settings: of `perturb`."""
    wide = problem.images
    for restart in range(restarts):
        rows = (~kept.standing.success).nonzero().flatten()
        if not len(rows):
            break
        run, seeds = objective.only(rows), problem.seeds(restart, rows=rows)
        own = wide[rows] if len(rows) < len(wide) else wide  # no copy while all are attacked
        kept = kept.or_better(rows, perturb(run, own, ball.only(rows), seeds=seeds, **settings), run)
    return kept


class _Kept(NamedTuple):
    """What is kept of the restarts, image by image."""

    images: Tensor
    standing: Standing

    @staticmethod
    def clean(images: Tensor, labels: Tensor) -> _Kept:
        """Nothing yet: every run is better than the images themselves."""
        lowest = torch.full_like(labels, -torch.inf, dtype=images.dtype)
        none = torch.zeros_like(labels, dtype=torch.bool)
        return _Kept(images, Standing(none, none, lowest))

    @torch.no_grad()
    def or_better(self, rows: Tensor, candidate: Tensor, objective: Objective) -> _Kept:
        """The first success, else the highest objective; candidate, objective: of the images `rows`."""
        standing = objective.standing(candidate)
        better = standing.above(self.standing.only(rows))
        chosen = rows[better]
        parts = (
            old.index_copy(0, chosen, new[better].to(old.dtype))
            for old, new in zip(self.standing, standing, strict=True)
        )
        return _Kept(self.images.index_copy(0, chosen, candidate[better]), Standing(*parts))
