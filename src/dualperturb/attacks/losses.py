"""The losses of APGD: those of `core.losses` by their names there, and a targeted version of DLR.

Targeted DLR: Croce & Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse
parameter-free attacks", section 4.1, equation (7). Logits: (N, classes), at least 2 classes; labels, targets:
int64 (N,).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dualperturb.core.losses import TINY, cross_entropy, dlr

# (logits, labels, targets) -> (N,); the larger, the nearer to being fooled. Only a targeted loss reads the
# targets; for an untargeted one they may be anything.
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


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


LOSSES: dict[str, Loss] = {
    "ce": lambda logits, labels, targets: cross_entropy(logits, labels),
    "dlr": lambda logits, labels, targets: dlr(logits, labels),
    "dlr-targeted": targeted_dlr,
}
