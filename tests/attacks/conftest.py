"""Small classifiers and a saliency model, without training."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

Parts = Callable[..., tuple[nn.Module, Tensor, Tensor, Tensor]]


def convolutional(channels: int = 3, classes: int = 4) -> nn.Module:
    """Random weights, BatchNorm with statistics of its own, eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, classes),
        )
        model[1].running_mean.normal_(std=0.1)
        model[5].weight.data *= 5
    return model.eval()


@pytest.fixture
def parts() -> Parts:
    """A function (count) -> model, images (N, 3, 8, 8), the labels the model gives them, foreground masks."""

    def build(count: int = 12) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
        random = torch.Generator().manual_seed(1)
        images = torch.rand(count, 3, 8, 8, generator=random)
        foreground = torch.rand(count, 1, 8, 8, generator=random) < 0.4
        model = convolutional()
        with torch.no_grad():
            labels = model(images).argmax(dim=1)
        return model, images, labels, foreground

    return build


@pytest.fixture
def brightness() -> Callable[[Tensor], Tensor]:
    """A saliency model: the brighter, the more salient. (N, C, H, W) -> log density (N, H, W)."""

    def log_density(images: Tensor) -> Tensor:
        return (5 * images.mean(dim=1).flatten(1)).log_softmax(dim=1).view(len(images), *images.shape[2:])

    return log_density
