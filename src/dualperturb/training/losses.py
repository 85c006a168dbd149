"""Losses that training descends, an argument to the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
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


@dataclass(frozen=True)
class Mixture:
    """Cross-entropy on clean and adversarial images together, one batch of both (Goodfellow et al. 2015).

    clean_share: the weight of the clean images' loss, above 0 and below 1; theirs was 0.5.
    """

    clean_share: float

    def __call__(
        self, model: nn.Module, images: Tensor, clean: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        plain, attacked = logits_in(model(torch.cat([clean, images]))).float().chunk(2)
        on_clean, on_attacked = (F.cross_entropy(logits, labels) for logits in (plain, attacked))
        return self.clean_share * on_clean + (1 - self.clean_share) * on_attacked, attacked
