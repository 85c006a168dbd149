"""The base class of the norms' balls: what all norms share, and the five verbs that each norm defines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from dualperturb.core.checks import is_number
from dualperturb.core.regions import NO_LENGTH, Radii, Regions, Seeds, dimensions, spread
from dualperturb.errors import UserError

# The norm of fewer than 10^6 values in [0, 1] is never larger. With far larger radii, lengths overflow in
# float32, and pixels become NaN where a region is empty.
LARGEST_RADIUS = 1e6


@dataclass(frozen=True)
class NormBall(ABC):
    """The ball of the given radius, in the units of pixels in [0, 1], over the whole image.

    Each norm is a subclass that defines five verbs, which work on any regions, not only on the whole image.
    Raises UserError if the radius is negative or above LARGEST_RADIUS.
    """

    radius: float

    def __post_init__(self) -> None:
        radius = self.radius
        if not is_number(radius) or not 0 <= radius <= LARGEST_RADIUS:
            raise UserError(f"radius: expected a number from 0 to {LARGEST_RADIUS:g}, got {radius}")

    def start(self, images: Tensor, seeds: Seeds) -> Tensor:
        return self.place(self.draw(images, seeds), (self.radius,))

    def ascend(self, gradient: Tensor, share: float) -> Tensor:
        return self.step(gradient, (share * self.radius,))

    def project(self, delta: Tensor) -> Tensor:
        return self.shrink(delta, (self.radius,))

    def norms(self, delta: Tensor) -> dict[str, Tensor]:
        return {"image": self.measure(delta)}

    def only(self, rows: Tensor) -> Self:
        return self

    @property
    def radii(self) -> dict[str, float]:
        return {"image": self.radius}

    def boxed(self, images: Tensor, seen: Tensor) -> Self:
        """This ball, told which pixels can move from `seen`, the images so far, if its norm needs that."""
        return self

    @staticmethod
    @abstractmethod
    def draw(images: Tensor, seeds: Seeds) -> Tensor:
        """Random numbers to make a start of; image i draws from its own stream, named by seeds[i]."""

    @abstractmethod
    def place(self, drawn: Tensor, radii: Radii, regions: Regions = ()) -> Tensor:
        """A start inside the ball, made of the random numbers `drawn`, which may be overwritten."""

    @abstractmethod
    def step(self, gradient: Tensor, lengths: Radii, regions: Regions = ()) -> Tensor:
        """The steepest ascent, in each region with the region's length; zero where the gradient is zero."""

    @abstractmethod
    def shrink(self, delta: Tensor, radii: Radii, regions: Regions = ()) -> Tensor:
        """The nearest perturbation whose norm in each region is at most its radius."""

    @staticmethod
    @abstractmethod
    def measure(delta: Tensor) -> Tensor:
        """The norm of each image, (N, ...) -> (N,), float32 or wider."""


def uniform_in_the_ball(
    drawn: Tensor,
    radii: Radii,
    regions: Regions,
    norms: list[Tensor],
    shorter: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Scale vectors of random direction, in place, so that they become points that are uniform in a ball.

    norms: the norms of `drawn` in each region; shorter(size, norm): the probability that so many drawn values
    have a norm below `norm`, which over the draws is a uniform number.
    """
    factors = []
    for radius, norm, size in zip(radii, norms, dimensions(drawn, regions), strict=True):
        uniform = shorter(size, norm.double())
        length = radius * uniform ** (1 / size) * (1 - torch.finfo(drawn.dtype).eps)
        factors.append((length / norm.clamp_min(NO_LENGTH)).to(drawn.dtype))
    return drawn.mul_(spread(factors, regions))
