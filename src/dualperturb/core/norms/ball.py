"""The ball of a norm over the whole image: what all norms share, and the five verbs of each."""

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

# No norm of fewer than 10^6 values in [0, 1] is larger. Far above, lengths overflow in float32, and where a
# region is empty pixels become NaN.
LARGEST_RADIUS = 1e6


@dataclass(frozen=True)
class NormBall(ABC):
    """The ball of the given radius, in the units of pixels in [0, 1], over the whole image.

    A norm is a subclass with five verbs that know nothing of the image. Raises UserError if the radius is
    negative or above LARGEST_RADIUS.
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
        """The ball that knows which pixels can move from `seen`, the images so far, if its norm asks."""
        return self

    @staticmethod
    @abstractmethod
    def draw(images: Tensor, seeds: Seeds) -> Tensor:
        """What a start is made of: random numbers, image i's from its own stream, named by seeds[i]."""

    @abstractmethod
    def place(self, drawn: Tensor, radii: Radii, regions: Regions = ()) -> Tensor:
        """A start inside the ball, made of what was drawn, which may be overwritten."""

    @abstractmethod
    def step(self, gradient: Tensor, lengths: Radii, regions: Regions = ()) -> Tensor:
        """The steepest ascent, in each region by its length; zero where the gradient is zero there."""

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
    """Directions without preference, in place, made as long as points that are uniform in a ball.

    norms: of what was drawn, in each region; shorter: the chance of a norm below `norm` in so many
    dimensions, which is a uniform number.
    """
    factors = []
    for radius, norm, size in zip(radii, norms, dimensions(drawn, regions), strict=True):
        uniform = shorter(size, norm.double())
        length = radius * uniform ** (1 / size) * (1 - torch.finfo(drawn.dtype).eps)
        factors.append((length / norm.clamp_min(NO_LENGTH)).to(drawn.dtype))
    return drawn.mul_(spread(factors, regions))
