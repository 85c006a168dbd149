"""Gaussian noise around a classifier: to train and certify with, and to attack the classifier smoothed by it.

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
from dualperturb.saliency.center import centre_disc

# Two words, the last not 0, so that this is no stream of a start or restart, whose salt is one word.
CLIMB_SALT = (0, 2)


@dataclass(frozen=True)
class GaussianNoise:
    """Noise N(0, sigma^2) on every pixel, with a sigma of its own in the background if one is given.

    sigma, background: standard deviations inside and outside an image's mask, in units of pixels in [0, 1];
    background None: sigma everywhere. fixed: the mask is the disc of `center` in place of an image's own.
    In noise by region the mask belongs to the classifier. So what is certified with it holds only where no
    perturbation can move the mask: one that is fixed or that comes with the image, never one that a model
    computes from the image. Raises UserError unless both are positive and finite.
    """

    sigma: float
    background: float | None = None
    fixed: bool = False

    def __post_init__(self) -> None:
        for sigma in self.sigmas:
            if not 0 < sigma < float("inf"):
                raise UserError(f"sigma: expected a positive finite number, got {sigma}")

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        foreground: Tensor,
        seeds: list[int],
        share: float,
    ) -> Tensor:
        """Noisy images (N, 3, H, W) for training, each from its own seed, with values outside [0, 1].

        share scales the noise. model and labels are there because every adversary of training takes them.
        """
        noise = torch.empty_like(images)
        for row, seed in zip(noise, seeds, strict=True):
            row.normal_(generator=generator(seed, images.device))
        return images + share * self.scale(foreground) * noise

    @property
    def sigmas(self) -> tuple[float, float]:
        """In the foreground and in the background."""
        return self.sigma, self.sigma if self.background is None else self.background

    def scale(self, foreground: Tensor) -> float | Tensor:
        """Each pixel's standard deviation for masks, bool (N, 1, H, W): one number, or (N, 1, H, W)."""
        inside, outside = self.sigmas
        if inside == outside:
            return inside
        height, width = foreground.shape[2:]
        mask = centre_disc(height, width, foreground.device) if self.fixed else foreground
        return torch.where(mask, inside, outside)

    def radius(self, eps_f: float, eps_b: float) -> float:
        """The L2 radius up to which this noise has to certify an image for its certificate to hold for all
        perturbations of L2 norms up to eps_f in the foreground and eps_b in the background.

        Divided by its own sigma, each pixel's noise is standard normal, and Cohen et al.'s theorem 1 holds
        for perturbations divided so (ANCER, Eiras et al. 2022). Their norm is at most
        hypot(eps_f / sigma_f, eps_b / sigma_b), and at most r / min(sigma_f, sigma_b) for one of L2 norm r.
        """
        inside, outside = self.sigmas
        return min(self.sigmas) * math.hypot(eps_f / inside, eps_b / outside)


class SmoothedClassifier(nn.Module):
    """The smoothed classifier in a differentiable form for attacks: log of the mean softmax over noise draws.

    forward: pixels (N, C, H, W) -> log probabilities (N, classes), whose cross-entropy is the objective of
    Salman et al. 2019 (expectation over noise). Takes the memory of N * draws images.

    Every pass draws new noise from a stream that starts at the seed; all images of a pass get the same. So an
    example does not depend on the rest of its batch if every batch gets a new SmoothedClassifier. New noise
    at every step costs nothing and attacks far better than noise kept through all steps, to which the example
    would be fitted; the price is a random error in the comparison of two restarts' objectives.
    Score an attack with `evaluation.smoothing`, never with this class. The mode and the parameters of `model`
    stay as they are. Raises UserError for fewer than one draw, and for noise by region: a pass may see any of
    a batch's images, without their masks.
    """

    draws_noise = True  # its answers differ on purpose, so `steady` does not warn

    def __init__(
        self, model: nn.Module, noise: GaussianNoise, draws: int, seed: int, device: torch.device
    ) -> None:
        super().__init__()
        if noise.background not in (None, noise.sigma):
            raise UserError(f"noise: found {noise.sigmas} by region; accepted: the same in both regions")
        if draws < 1:
            raise UserError(f"draws: expected at least 1, got {draws}")
        self.model, self.sigma, self.draws = model, noise.sigma, draws
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
