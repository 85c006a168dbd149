"""Our JSMA against that of the Adversarial Robustness Toolbox (ART), step by step.

ART ranks features by one derivative, that of the target's output, and changes the best two. On a classifier
that ends in a softmax this is the definition, two pixels a step; with one channel, features are pixels.
"""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dualperturb.attacks.jsma import jsma

SIDE, IMAGES = 12, 6


@pytest.fixture(scope="module")
def art() -> Any:
    """ART's attack and classifier, or a skip that says why they are missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from art.attacks.evasion import SaliencyMapMethod
            from art.estimators.classification import PyTorchClassifier
        except ImportError as error:
            pytest.skip(f"adversarial-robustness-toolbox cannot be imported ({error})")
    return SaliencyMapMethod, PyTorchClassifier


class Watched(nn.Module):
    """Hands on what it is given, and keeps it wherever it differs from the time before."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.seen = model, []

    def forward(self, images: Tensor) -> Tensor:
        if not self.seen or not torch.equal(self.seen[-1], images):
            self.seen.append(images.detach().clone())
        return self.model(images)


def convolutional() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(8, 8, 3, stride=2, padding=1),
            nn.Tanh(),
            nn.Flatten(),
            nn.Linear(288, 5),
        ).eval()


def their_images(
    art: Any, model: nn.Module, image: Tensor, target: Tensor, theta: float, pixels: int
) -> Tensor:
    """ART goes on while at most a share `gamma` of the features is changed; this one ends it at `pixels`."""
    attack, classifier = art
    wrapped = classifier(
        model, nn.CrossEntropyLoss(), (1, SIDE, SIDE), nb_classes=5, clip_values=(0, 1), device_type="cpu"
    )
    gamma = (pixels - 1) / SIDE**2
    method = attack(wrapped, theta=theta, gamma=gamma, batch_size=1, verbose=False)
    return torch.from_numpy(method.generate(image.numpy(), y=target.numpy()))


@pytest.mark.parametrize(
    ("theta", "change", "likely", "pixels"),
    [(1.0, "increase", 3, 20), (-1.0, "decrease", 3, 16), (0.3, "increase", 2, 100)],
)
def test_every_step_is_the_same(art: Any, theta: float, change: str, likely: int, pixels: int) -> None:
    """Some images hold out at theta 1. At a small one all give in, for otherwise the ends would differ:

    with all pixels chosen ART stops and ours goes on with those; with no salient feature left ours stops, as
    defined, and ART goes on with harmful ones.
    """
    model = convolutional()
    images = torch.rand(IMAGES, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        order = model(images).argsort(dim=1, descending=True)
    labels, targets = order[:, 0], order[:, likely]
    settings = {"pixels_per_step": 2, "theta": abs(theta), "change": change, "max_share": pixels / SIDE**2}

    ours = jsma(model, images, labels, targets=targets, **settings)

    assert ours.success.any() and bool(ours.success.all()) is (abs(theta) < 1)
    steps = []
    for row in torch.arange(IMAGES).split(1):
        mine, theirs = Watched(model), Watched(nn.Sequential(model, nn.Softmax(dim=1)))
        jsma(mine, images[row], labels[row], targets=targets[row], **settings)
        final = their_images(art, theirs, images[row], targets[row], theta, pixels)
        assert len(mine.seen) == len(theirs.seen)
        assert all(map(torch.equal, mine.seen, theirs.seen))
        assert torch.equal(final, ours.images[row])
        steps.append(len(mine.seen) - 1)
    assert max(steps) > 5
