"""Gaussian noise around a classifier: to train it on, and to attack the classifier smoothed by it.

Cohen, Rosenfeld and Kolter 2019, "Certified adversarial robustness via randomized smoothing"; the attack is
that of Salman et al. 2019, "Provably robust deep learning via adversarially trained smoothed classifiers".
Noise is added to pixels in [0, 1] and never clipped, as in Cohen et al.: their theorem is about a Gaussian.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dualperturb.core.seeds import image_seeds
from dualperturb.core.shown import logits_in
from dualperturb.errors import UserError

# Two words, the last not 0, so that this is no stream of a start or restart, whose salt is one word.
CLIMB_SALT = (0, 2)


@dataclass(frozen=True)
class GaussianNoise:
    """The smoothing defence's training: noise N(0, sigma^2) on every pixel, whatever the classifier thinks.

    sigma: standard deviation in units of pixels in [0, 1]. Raises UserError unless it is positive and finite.
    """

    sigma: float

    def __post_init__(self) -> None:
        check_sigma(self.sigma)

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        foreground: Tensor,
        seeds: list[int],
        share: float,
    ) -> Tensor:
        """Noisy images (N, 3, H, W), each from its own seed, with values outside [0, 1].

        share scales sigma. The other arguments are there because every adversary of training takes them.
        """
        noise = torch.empty_like(images)
        for row, seed in zip(noise, seeds, strict=True):
            row.normal_(generator=generator(seed, images.device))
        return images + share * self.sigma * noise


class SmoothedClassifier(nn.Module):
    """The smoothed classifier in a differentiable form for attacks: log of the mean softmax over noise draws.

    forward: pixels (N, C, H, W) -> log probabilities (N, classes), whose cross-entropy is the objective of
    Salman et al. 2019 (expectation over noise). Takes the memory of N * draws images.

    Every pass draws new noise from a stream that starts at the seed; all images of a pass get the same. So an
    example does not depend on the rest of its batch if every batch gets a new SmoothedClassifier. New noise
    at every step costs nothing and attacks far better than noise kept through all steps, to which the example
    would be fitted; the price is a random error in the comparison of two restarts' objectives.
    Score an attack with `evaluation.smoothing`, never with this class. The mode and the parameters of `model`
    stay as they are. Raises UserError for a sigma that is not positive or for fewer than one draw.
    """

    draws_noise = True  # its answers differ on purpose, so `steady` does not warn

    def __init__(self, model: nn.Module, sigma: float, draws: int, seed: int, device: torch.device) -> None:
        super().__init__()
        check_sigma(sigma)
        if draws < 1:
            raise UserError(f"draws: expected at least 1, got {draws}")
        self.model, self.sigma, self.draws = model, sigma, draws
        self.source = generator(image_seeds(seed, [0], *CLIMB_SALT)[0], device)
        self.training = getattr(model, "training", False)

    def forward(self, images: Tensor) -> Tensor:
        noise = self.sigma * draw(self.draws, images.shape[1:], images.dtype, self.source)
        logits = logits_in(self.model((images.unsqueeze(1) + noise).flatten(0, 1)))
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        log_probabilities = wide.log_softmax(dim=1).unflatten(0, (len(images), self.draws))
        return log_probabilities.logsumexp(dim=1) - math.log(self.draws)


def generator(seed: int, device: torch.device) -> torch.Generator:
    """A stream of the device itself: 10^5 noise images drawn on the CPU would keep a GPU waiting.

    The same seed gives other numbers on another kind of device.
    """
    return torch.Generator(device=device).manual_seed(seed)


def draw(count: int, shape: Sequence[int], dtype: torch.dtype, source: torch.Generator) -> Tensor:
    """Standard normal noise (count, *shape); the same numbers follow however many are drawn at a time."""
    noise = torch.empty((count, *shape), dtype=dtype, device=source.device)
    # One call per image: a call for many may end with extra draws, and results would depend on the division.
    for row in noise:
        row.normal_(generator=source)
    return noise


def check_sigma(sigma: float) -> None:
    """Raise UserError unless sigma is positive and finite."""
    if not 0 < sigma < float("inf"):
        raise UserError(f"sigma: expected a positive finite number, got {sigma}")
