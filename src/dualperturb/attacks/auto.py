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

from dualperturb.attacks.apgd import apgd
from dualperturb.core.balls import Ball
from dualperturb.core.checks import in_range
from dualperturb.core.result import AttackResult, checked_norms

PARTS = {"apgd-ce": "ce", "apgd-dlr": "dlr", "apgd-t": "dlr-targeted"}  # part -> the loss it climbs
CLEAN = "clean"  # misclassified as it is
NONE = "none"  # withstood every part


@dataclass(frozen=True)
class AutoResult(AttackResult):
    """fooled_by: for each image the part that fooled it, "clean" or "none"; the rest as in `AttackResult`."""

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
) -> AutoResult:
    """APGD on cross-entropy, on DLR, then on targeted DLR for up to `targets` other classes.

    Arguments and errors as in `apgd`; by default as many steps, restarts and targets as in AutoAttack's
    standard version. An image that is misclassified as it is comes back unchanged; one that withstands all
    parts comes back as the first part's best try. With too few classes for DLR (two), or for its targeted
    version (two or three), the difference of logits stands in.
    """
    images = in_range(images)
    names = list(range(len(images)) if indices is None else indices)
    settings = {"steps": steps, "restarts": restarts, "targets": targets, "seed": seed}
    (first, loss), *others = PARTS.items()
    result = apgd(model, images, labels, ball, loss=loss, indices=names, **settings)
    found, success = result.images, result.success
    moved = (found != images).flatten(1).any(dim=1)
    fooled_by = np.where(success.cpu(), np.where(moved.cpu(), first, CLEAN), NONE).astype(object)
    for part, loss in others:
        rows = (~success).nonzero().flatten()
        if not len(rows):
            break
        left = [names[row] for row in rows.tolist()]
        result = apgd(model, images[rows], labels[rows], ball.only(rows), loss=loss, indices=left, **settings)
        fooled = rows[result.success]
        found[fooled], success[fooled] = result.images[result.success], True
        fooled_by[fooled.cpu()] = part
    norms = checked_norms(ball, images.detach().to(found.dtype), found)
    return AutoResult(found, success, norms, tuple(fooled_by))
