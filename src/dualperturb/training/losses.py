"""Losses that training descends, an argument to the loop."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from dualperturb.core.shown import logits_in

# (classifier in train mode, adversarial images (N, C, H, W), the images that they were made of, labels (N,))
# -> the mean loss, (), and the logits of the adversarial images (N, classes), by which accuracy is counted.
Loss = Callable[[nn.Module, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def cross_entropy(model: nn.Module, images: Tensor, clean: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy on the adversarial images alone: adversarial training (Madry et al. 2018)."""
    logits = logits_in(model(images))
    return F.cross_entropy(logits.float(), labels), logits
