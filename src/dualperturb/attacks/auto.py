"""Dual-AutoAttack: AutoAttack's APGD parts over any ball, so over the dual threat model, too.

Croce & Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
attacks", section 5: nothing to tune, and each part attacks only what the parts before it left standing.
Its other parts, FAB and Square, are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from dualperturb.attacks.apgd import search
from dualperturb.core.balls import Ball
from dualperturb.core.bounded import Bound, binding, bounded, judged
from dualperturb.core.objectives import Saliency
from dualperturb.core.problem import posed
from dualperturb.core.result import AttackResult

PARTS = {"apgd-ce": "ce", "apgd-dlr": "dlr", "apgd-t": "dlr-targeted"}  # part -> the loss it climbs
CLEAN = "clean"  # misclassified as it is
NONE = "none"  # withstood every part


@dataclass(frozen=True)
class AutoResult(AttackResult):
    """fooled_by: for each image the part that fooled it, "clean" or "none"; the rest as in `AttackResult`.

    Under a bound on the foreground score a part has fooled an image only if the bound is held, too.
    """

    fooled_by: tuple[str, ...]


def auto_attack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    ball: Ball,
    *,
    steps: int = 100,
    restarts: int = 1,
    targets: int = 9,
    seed: int = 0,
    indices: Sequence[int] | None = None,
    saliency: Saliency | Sequence[Saliency] | None = None,
    min_foreground_score: Bound | None = None,
) -> AutoResult:
    """APGD on cross-entropy, on DLR, then on targeted DLR for up to `targets` other classes.

    Arguments and errors as in `apgd`; by default as many steps, restarts and targets as in AutoAttack's
    standard version. An image that is misclassified as it is comes back unchanged; one that withstands all
    parts comes back as the first part's best try, or as the first that holds the bound, where there is one
    (see `apgd`). With too few classes for DLR (two), or for its targeted version (two or three), the
    difference of logits stands in.
    """
    problem = posed(model, images, labels, [ball], seed=seed, indices=indices)
    bound = bounded(problem, ball, saliency, min_foreground_score)
    (first, loss), *others = PARTS.items()
    settings = {"steps": steps, "restarts": restarts, "targets": targets}
    held_bound = binding(bound)
    found, done, held = search(problem, ball, held_bound, loss, **settings)
    moved = (found != problem.images).flatten(1).any(dim=1)
    fooled_by = np.where(done.cpu(), np.where(moved.cpu(), first, CLEAN), NONE).astype(object)
    for part, loss in others:
        rows = (~done).nonzero().flatten()
        if not len(rows):
            break
        own = held_bound and held_bound.only(rows)
        tried = search(problem.only(rows), ball.only(rows), own, loss, **settings)
        better = tried.done | (tried.held & ~held[rows])
        for old, new in zip((found, done, held), tried, strict=True):
            old[rows[better]] = new[better]
        fooled_by[rows[tried.done].cpu()] = part
    result = judged(problem, ball, found, bound)
    return AutoResult(**vars(result), fooled_by=tuple(fooled_by))
