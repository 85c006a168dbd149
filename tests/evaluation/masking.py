"""Defences that mask gradients: each leaves a classifier's answers nearly alone and its gradients useless.

The kinds of Athalye et al. 2018 (shattered and stochastic gradients) and Carlini & Wagner 2017 (a saturated
softmax). None makes the classifier any more robust, so the health checks must see through every one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Saturated(nn.Module):
    """Logits so far apart that float32's cross-entropy is constant; the answers stay the same."""

    def __init__(self, model: nn.Module, factor: float = 1e5) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images) * self.factor


class Quantised(nn.Module):
    """Pixels rounded to a few levels: the gradient is zero wherever it exists."""

    def __init__(self, model: nn.Module, levels: int = 16) -> None:
        super().__init__()
        self.model, self.levels = model, levels

    def forward(self, images: Tensor) -> Tensor:
        return self.model((images * (self.levels - 1)).round() / (self.levels - 1))


class Shattered(nn.Module):
    """A ripple too small to matter to the answers and too steep for a gradient to look past it."""

    def __init__(self, model: nn.Module, height: float = 0.02, frequency: float = 5e4) -> None:
        super().__init__()
        self.model, self.height, self.frequency = model, height, frequency

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images + self.height * (self.frequency * images).sin())


class Stochastic(nn.Module):
    """The answers stay the same; the gradient's signs are drawn anew every time it is asked for."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.generator = model, torch.Generator().manual_seed(0)

    def forward(self, images: Tensor) -> Tensor:
        signs = torch.rand(images.shape, generator=self.generator).round() * 2 - 1
        # Its value is that of the images, its slope that of `signs`.
        return self.model(images.detach() + signs * (images - images.detach()))


class Probabilities(nn.Module):
    """Softmax in place of logits: a second softmax in the loss flattens the gradient."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images).softmax(dim=1)


MASKS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "saturated": Saturated,
    "quantised": Quantised,
    "shattered": Shattered,
    "stochastic": Stochastic,
    "probabilities": Probabilities,
}
