"""A small classifier, trained in the session, and the images that all libraries attack."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualperturb.datasets.shapes6 import draw


@dataclass(frozen=True)
class Victim:
    """model: eval mode; images: float (500, 3, 32, 32); labels: int64 (500,)."""

    model: nn.Module
    images: Tensor
    labels: Tensor

    def right(self, images: Tensor) -> int:
        """How many of the images are still classified as their label."""
        with torch.no_grad():
            return int((self.model(images).argmax(dim=1) == self.labels).sum())


def load(count: int, split: str) -> tuple[Tensor, Tensor]:
    images, labels, _ = draw(count, seed=0, split=split)
    return torch.from_numpy(images).float() / 255, torch.from_numpy(labels)


def untrained() -> nn.Module:
    """Without BatchNorm: the same in every batch, up to rounding."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 12, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(12, 24, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(24, 24, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(384, 6),
        )


@pytest.fixture(scope="session")
def victim() -> Victim:
    model, (images, labels) = untrained(), load(1800, "train")
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    random = torch.Generator().manual_seed(0)
    for _ in range(12):
        for rows in torch.randperm(len(images), generator=random).split(64):
            optimiser.zero_grad()
            F.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimiser.step()
    return Victim(model.eval().requires_grad_(False), *load(500, "test"))
