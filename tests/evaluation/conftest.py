"""A small untrained classifier on random images: what an evaluation measures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from dualperturb.core.images import ImageSet
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.saliency.builtin import BuiltinSaliency

MakeSubject = Callable[..., Subject]


def classifier() -> nn.Module:
    """Random weights, BatchNorm in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(32, 3),
        )
    return model.eval()


@pytest.fixture
def make_subject() -> MakeSubject:
    """A function (indices) -> a subject of 20 images of 8x8 pixels, four in five classified rightly."""

    def make(indices: list[int] | None = None) -> Subject:
        random = np.random.default_rng(5)
        images = random.integers(0, 256, (20, 3, 8, 8), dtype=np.uint8)
        foreground = random.random((20, 1, 8, 8)) < 0.4
        foreground[1], foreground[2] = False, True
        model = classifier()
        with torch.no_grad():
            # Balanced classes with small margins, so that an attack matters.
            logits = model(torch.from_numpy(images).float() / 255)
            model[5].bias -= logits.mean(dim=0)
            labels = (logits - logits.mean(dim=0)).argmax(dim=1).numpy()
        labels[::5] = (labels[::5] + 1) % 3
        data = ImageSet(images, labels, ("a", "b", "c"), foreground)
        chosen = np.arange(20) if indices is None else np.asarray(indices)
        return Subject(model, data, foreground, chosen, BuiltinSaliency(), torch.device("cpu"))

    return make
