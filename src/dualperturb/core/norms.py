"""The norms' balls: one class a norm, which draws, places, steps, shrinks and measures.

Each verb works on any number of regions at once: a radius each, and `Regions` that say which pixels' values
are measured together; none for the whole image. A norm is a class here and a row of `budgets.NORMS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Self

import torch
from torch import Tensor

from dualperturb.core.checks import is_number
from dualperturb.core.regions import (
    NO_LENGTH,
    STEEPEST,
    Radii,
    Regions,
    Seeds,
    dimensions,
    filled,
    l1_lengths,
    l1_norm,
    l2_lengths,
    l2_measured,
    l2_norm,
    linf_norm,
    lowered,
    random_rows,
    round_down,
    spread,
)
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


def _uniform_in_the_ball(
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


class L2(NormBall):
    """The L2 ball."""

    measure = staticmethod(l2_norm)

    @staticmethod
    def draw(images: Tensor, seeds: Seeds) -> Tensor:
        """What a start is made of: normal numbers."""
        return random_rows(Tensor.normal_, images, seeds)

    @staticmethod
    def place(drawn: Tensor, radii: Radii, regions: Regions = ()) -> Tensor:
        """Uniform in the ball of d dimensions: a Gaussian direction, and U^(1/d) of the radius as length.

        The length of the Gaussian vector, which its direction does not depend on, gives the uniform number U:
        its square is chi-squared distributed with d degrees of freedom. `drawn` is overwritten.
        """

        def shorter(size: Tensor, norm: Tensor) -> Tensor:
            return torch.special.gammainc(size / 2, norm**2 / 2)

        return _uniform_in_the_ball(drawn, radii, regions, l2_lengths(drawn, regions), shorter)

    @staticmethod
    def step(gradient: Tensor, lengths: Radii, regions: Regions = ()) -> Tensor:
        """Along the gradient, in each region by its length; zero where the gradient is zero there."""
        wide, norms = l2_measured(gradient.to(torch.promote_types(gradient.dtype, torch.float32)), regions)
        factors = [length / norm.clamp_min(NO_LENGTH) for length, norm in zip(lengths, norms, strict=True)]
        return wide * spread(factors, regions)

    @staticmethod
    def shrink(delta: Tensor, radii: Radii, regions: Regions = ()) -> Tensor:
        """The nearest perturbation whose norm in each region is at most its radius."""
        factors = []
        for radius, norm in zip(radii, l2_lengths(delta, regions), strict=True):
            # Rounding to a narrow type may lengthen the scaled perturbation, hence the other factor.
            shrunk = radius * (1 - torch.finfo(delta.dtype).eps) / norm
            # Squares of values below 1e-22 vanish: a radius of zero does not wait for a norm above it.
            factors.append(torch.where(norm > radius, shrunk, float(radius > 0)).to(delta.dtype))
        return delta * spread(factors, regions)


class Linf(NormBall):
    """The L-infinity ball."""

    measure = staticmethod(linf_norm)

    @staticmethod
    def draw(images: Tensor, seeds: Seeds) -> Tensor:
        """What a start is made of: uniform numbers."""
        return random_rows(Tensor.uniform_, images, seeds)

    @classmethod
    def place(cls, drawn: Tensor, radii: Radii, regions: Regions = ()) -> Tensor:
        """Uniform in the cube."""
        return cls.shrink((2 * drawn - 1) * spread(radii, regions), radii, regions)

    @staticmethod
    def step(gradient: Tensor, lengths: Radii, regions: Regions = ()) -> Tensor:
        """Along the signs of the gradient, in each region by its length."""
        return gradient.sign() * spread(lengths, regions)

    @staticmethod
    def shrink(delta: Tensor, radii: Radii, regions: Regions = ()) -> Tensor:
        """The nearest perturbation without a value above its region's radius."""
        bound = spread([round_down(float(radius), delta.dtype) for radius in radii], regions)
        return delta.clamp(-bound, bound)  # type: ignore[arg-type]


@dataclass(frozen=True)
class L1(NormBall):
    """The L1 ball; as it lies in the box of all images, where `boxed` has told of it.

    The steepest step and the nearest point are those of ball and box together (Croce & Hein 2021, "Mind the
    box"). Without the box a step moves few values, further than pixels can, and the clipping that follows
    leaves little of it: such attacks are weak.
    """

    # The images, and the points that the next step begins at.
    box: tuple[Tensor, Tensor] | None = field(default=None, repr=False, compare=False)

    measure = staticmethod(l1_norm)

    @staticmethod
    def draw(images: Tensor, seeds: Seeds) -> Tensor:
        """What a start is made of: Laplacian numbers."""

        def laplacian(row: Tensor, generator: torch.Generator) -> Tensor:
            row.exponential_(generator=generator)
            return row.mul_(torch.empty_like(row).uniform_(-1, 1, generator=generator).sign_())

        return random_rows(laplacian, images, seeds)

    @staticmethod
    def place(drawn: Tensor, radii: Radii, regions: Regions = ()) -> Tensor:
        """Uniform in the ball of d dimensions: a Laplacian direction, and U^(1/d) of the radius as length.

        The length of the Laplacian vector, which its direction does not depend on, gives the uniform number
        U: it has the gamma distribution of shape d. `drawn` is overwritten.
        """
        return _uniform_in_the_ball(drawn, radii, regions, l1_lengths(drawn, regions), torch.special.gammainc)

    def boxed(self, images: Tensor, seen: Tensor) -> L1:
        return replace(self, box=(images, seen))

    def step(self, gradient: Tensor, lengths: Radii, regions: Regions = ()) -> Tensor:
        """Along the signs, the largest gradients first, each as far as its pixel can move (at most by 1)."""
        wide = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
        wide = wide.nan_to_num(0.0, STEEPEST, -STEEPEST)
        room = self._room(wide, 1) * (wide != 0)
        moves = (
            filled(wide.abs() * region, room * region, length)
            for length, region in zip(lengths, _parts(regions), strict=True)
        )
        return _summed(moves).to(wide.dtype) * wide.sign()

    def shrink(self, delta: Tensor, radii: Radii, regions: Regions = ()) -> Tensor:
        """The nearest perturbation whose norm in each region is at most its radius, inside the box."""
        # Rounding to the type of the values may lengthen what is left.
        margin = max(torch.finfo(delta.dtype).eps, 1e-12)
        wide = delta.to(torch.promote_types(delta.dtype, torch.float32))
        room, sizes = self._room(wide, 0), wide.abs()
        kept = (
            lowered(sizes * region, room, radius, margin).view_as(sizes) * region
            for radius, region in zip(radii, _parts(regions), strict=True)
        )
        return (_summed(kept) * delta.sign()).to(delta.dtype)

    def _room(self, directions: Tensor, point: int) -> Tensor:
        """How far values can move in the box along the signs, from box[point]; everywhere 1 without a box."""
        if self.box is None:
            return torch.ones_like(directions) if point else torch.full_like(directions, torch.inf)
        return torch.where(directions > 0, 1 - self.box[point], self.box[point]).to(directions.dtype)


def _parts(regions: Regions) -> Sequence[Tensor | float]:
    return regions or (1.0,)


def _summed(parts: Iterator[Tensor]) -> Tensor:
    return reduce(torch.add, parts)


BALLS: dict[str, type[NormBall]] = {"L2": L2, "Linf": Linf, "L1": L1}  # one a row of `budgets.NORMS`
