"""The losses that an attack raises: cross-entropy, the margin, the Difference of Logits Ratio (DLR).

Each maps logits (N, classes) and labels, int64 (N,), to (N,); the larger, the nearer to being fooled. Where a
classifier is sure of itself, the gradient of cross-entropy all but vanishes; those of the other two do not,
and DLR, being a ratio, stays the same when all logits are scaled.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from dualperturb.errors import UserError

Loss = Callable[[Tensor, Tensor], Tensor]

TINY = 1e-12  # in the denominators of DLR, as published


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """(N,), at least 0 and without upper bound."""
    return F.cross_entropy(logits, labels, reduction="none")


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """(N,), above 0 where the image is fooled: the largest other logit less the label's.

    Carlini & Wagner 2017, "Towards evaluating the robustness of neural networks", section V, f_6 with its
    sign turned and not cut off.
    """
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
    return others - logits.gather(1, labels[:, None])[:, 0]


def dlr(logits: Tensor, labels: Tensor) -> Tensor:
    """(N,), above 0 where the image is fooled: the margin / (first - third of the logits).

    Croce & Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks", section 4.1, equation (6). With two classes there is no third logit: the value is
    the margin.
    """
    first = logits.sort(dim=1, descending=True).values
    scale = first[:, 0] - first[:, 2] + TINY if logits.shape[1] >= 3 else 1.0
    return margin(logits, labels) / scale


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "margin": margin, "dlr": dlr}


def loss_named(name: str) -> Loss:
    """Raises UserError for an unknown name."""
    if name not in LOSSES:
        raise UserError(f"loss: found {name!r}, accepted are {', '.join(LOSSES)}")
    return LOSSES[name]
