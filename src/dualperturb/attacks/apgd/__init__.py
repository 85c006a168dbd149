"""Auto-PGD over any ball: the step size and the returns to the best point follow from the run itself.

Croce & Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
attacks", section 3 and Algorithm 1; where the paper leaves room, as in its published code. Over a `Dual` ball
a step is the same share of both radii, and that share is adapted image by image. An image that is fooled
leaves the run, which saves most of its time. The classifier is left as it is, as `pgd` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dualperturb.attacks.apgd.run import climb
from dualperturb.attacks.apgd.task import Task, widened
from dualperturb.attacks.losses import LOSSES, others
from dualperturb.core.balls import Ball
from dualperturb.core.bounded import Bound, binding, bounded, judged
from dualperturb.core.checks import check_counts
from dualperturb.core.constraint import Constraint
from dualperturb.core.objectives import Saliency
from dualperturb.core.problem import Problem, posed
from dualperturb.core.result import AttackResult
from dualperturb.core.shown import misclassified
from dualperturb.errors import UserError


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
    saliency: Saliency | Sequence[Saliency] | None = None,
    min_foreground_score: Bound | None = None,
) -> AttackResult:
    """Attack `model` inside `ball`: the first point met that is misclassified, else the one of highest loss.

    model, images, labels, seed, indices, saliency, min_foreground_score: as in `pgd`; at least 2 classes. An
    image that is misclassified as it is comes back unchanged. Under a bound on the foreground score an image
    counts as misclassified, here, only where it also holds the bound; of those that do not, one that holds it
    is better, and else the nearer to it. loss: "ce", "dlr" or "dlr-targeted" (see `losses`). "dlr-targeted"
    runs once for each of the `targets` likeliest other classes of the clean image, or for all if there are
    fewer.
    restarts: random starts, for every target. Every run attacks what the runs before it have not fooled.

    Raises UserError for images outside [0, 1], labels or indices that do not fit them, an unknown loss,
    counts below 1, a model without a gradient, and for a bound and saliency models as `pgd` does.
    """
    problem = posed(model, images, labels, [ball], seed=seed, indices=indices)
    if loss not in LOSSES:
        raise UserError(f"loss: found {loss!r}, accepted are {', '.join(LOSSES)}")
    bound = bounded(problem, ball, saliency, min_foreground_score)
    found = search(problem, ball, binding(bound), loss, steps=steps, restarts=restarts, targets=targets)
    return judged(problem, ball, found.images, bound)


class Found(NamedTuple):
    """The best images met, (N, C, H, W), and whether they fool and hold the bound, and hold it, bool (N,)."""

    images: Tensor
    done: Tensor
    held: Tensor


def search(
    problem: Problem,
    ball: Ball,
    bound: Constraint | None,
    loss: str,
    *,
    steps: int,
    restarts: int,
    targets: int,
) -> Found:
    """All runs of `apgd`. bound: None where there is none to be held."""
    check_counts({"steps": steps, "restarts": restarts, "targets": targets})
    wide, labels = problem.images, problem.labels
    with torch.no_grad():
        logits = widened(problem.logits_of(wide))
        goals = others(logits, labels)[:, :targets] if loss == "dlr-targeted" else labels[:, None]
    task = Task(problem.logits_of, LOSSES[loss], wide, labels, goals[:, 0], ball, bound)
    found, highest = wide.clone(), torch.full_like(labels, -torch.inf, dtype=wide.dtype)
    held = torch.ones_like(labels, dtype=torch.bool)
    if bound is not None:  # the image itself counts as met
        clean = task.look(torch.zeros_like(wide))
        highest, held = clean.value, clean.held
    done = misclassified(logits, labels) & held
    for run in range(goals.shape[1] * restarts):
        rows = (~done).nonzero().flatten()
        if not len(rows):
            break
        # Three words, the last not 0, so that no other attack with this seed has these streams.
        seeds = problem.seeds(list(LOSSES).index(loss), run, 1, rows=rows)
        end = climb(replace(task, targets=goals[:, run // restarts]).only(rows), steps, seeds)
        better = (end.done | (end.value > highest[rows])).nonzero().flatten()
        found[rows[better]] = end.delta[better] + wide[rows[better]]
        highest[rows[better]] = end.value[better]
        held[rows[better]] = end.held[better]
        done[rows] = end.done
    return Found(found, done, held)
