"""The losses of APGD: cross-entropy, and the Difference of Logits Ratio (DLR), untargeted and targeted.

DLR: Croce & Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse
parameter-free attacks", section 4.1, equation (6), and its targeted version, equation (7). Unlike
cross-entropy it does not change when the logits are scaled, so that a classifier that is very sure of itself
does not hide its gradient. Logits: (N, classes), at least 2 classes; labels, targets: int64 (N,).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

# (logits, labels, targets) -> (N,); the larger, the nearer to being fooled. Only a targeted loss reads the
# targets; for an untargeted one they may be anything.
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]

TINY = 1e-12  # in the denominators, as published


def cross_entropy(logits: Tensor, labels: Tensor, targets: Tensor | None = None) -> Tensor:
    """(N,), without upper bound."""
    return F.cross_entropy(logits, labels, reduction="none")


def dlr(logits: Tensor, labels: Tensor, targets: Tensor | None = None) -> Tensor:
    """(N,), above 0 where the image is fooled: (largest other - label) / (first - third of the logits).

    With two classes there is no third logit: the value is the plain difference of the two.
    """
    first = logits.sort(dim=1, descending=True).values
    scale = first[:, 0] - first[:, 2] + TINY if logits.shape[1] >= 3 else 1.0
    other = logits.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
    return (other - _at(logits, labels)) / scale


def targeted_dlr(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """(N,): (target - label) / (first - mean of the third and the fourth of the logits).

    With two or three classes there is no fourth logit: the value is the plain difference target - label.
    """
    first = logits.sort(dim=1, descending=True).values
    scale = first[:, 0] - (first[:, 2] + first[:, 3]) / 2 + TINY if logits.shape[1] >= 4 else 1.0
    return (_at(logits, targets) - _at(logits, labels)) / scale


def others(logits: Tensor, labels: Tensor) -> Tensor:
    """The classes other than the label, the likeliest first: int64 (N, classes - 1)."""
    last = logits.scatter(1, labels[:, None], -torch.inf)
    return last.argsort(dim=1, descending=True, stable=True)[:, :-1]


def _at(logits: Tensor, classes: Tensor) -> Tensor:
    return logits.gather(1, classes[:, None])[:, 0]


LOSSES: dict[str, Loss] = {"ce": cross_entropy, "dlr": dlr, "dlr-targeted": targeted_dlr}
