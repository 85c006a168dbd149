"""Threat models: norms, radii, masks. Start, ascend, project; no classifier in here.

A *ball* is anything with the three verbs and `norms`. `L2` and `Linf` are balls over the whole image. `Dual`
applies each verb in the foreground and in the background, so that plain PGD and the dual-perturbation attack
run through the same loop. Behind the verbs, both norms work on any number of regions at once: a radius each,
and `Regions` that say which pixels' values are measured together; none for the whole image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from dualperturb.core.checks import check_place, is_number
from dualperturb.core.regions import (
    NO_LENGTH,
    Radii,
    Regions,
    Seeds,
    dimensions,
    l2_lengths,
    l2_measured,
    l2_norm,
    linf_norm,
    random_rows,
    regions_of,
    round_down,
    spread,
)
from dualperturb.errors import UserError

# No norm of fewer than 10^12 values in [0, 1] is larger. Far above, lengths overflow in float32, and where a
# region is empty pixels become NaN.
LARGEST_RADIUS = 1e6
VERBS = ("start", "ascend", "project", "norms", "only")


class Ball(Protocol):
    """What an attack may do to a batch of images. Every tensor is (N, C, H, W).

    Where it has `radii`, a number or a tensor (N,) for each region of `norms`, every result is held to them.
    """

    def start(self, images: Tensor, seeds: Seeds) -> Tensor:
        """A random perturbation inside the ball; image i draws from its own stream, named by seeds[i]."""

    def ascend(self, gradient: Tensor, share: float) -> Tensor:
        """The steepest-ascent step whose norm is `share` of the radius; zero where the gradient is zero."""

    def project(self, delta: Tensor) -> Tensor:
        """The nearest perturbation inside the ball."""

    def norms(self, delta: Tensor) -> dict[str, Tensor]:
        """The norm spent in each region, (N,) float32 or wider."""

    def only(self, rows: Tensor) -> Ball:
        """The ball for some of the images; rows: positions, or bool (N,)."""


@dataclass(frozen=True)
class L2:
    """The L2 ball of the given radius, in the units of pixels in [0, 1].

    Raises UserError if the radius is negative or above LARGEST_RADIUS.
    """

    radius: float

    def __post_init__(self) -> None:
        _check_radius(self.radius)

    def start(self, images: Tensor, seeds: Seeds) -> Tensor:
        return self.place(self.draw(images, seeds), (self.radius,))

    def ascend(self, gradient: Tensor, share: float) -> Tensor:
        return self.step(gradient, (share * self.radius,))

    def project(self, delta: Tensor) -> Tensor:
        return self.shrink(delta, (self.radius,))

    def norms(self, delta: Tensor) -> dict[str, Tensor]:
        return {"image": l2_norm(delta)}

    def only(self, rows: Tensor) -> L2:
        return self

    @property
    def radii(self) -> dict[str, float]:
        return {"image": self.radius}

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
        factors = []
        norms, sizes = l2_lengths(drawn, regions), dimensions(drawn, regions)
        for radius, norm, size in zip(radii, norms, sizes, strict=True):
            uniform = torch.special.gammainc(size / 2, norm.double() ** 2 / 2)
            length = radius * uniform ** (1 / size) * (1 - torch.finfo(drawn.dtype).eps)
            factors.append((length / norm.clamp_min(NO_LENGTH)).to(drawn.dtype))
        return drawn.mul_(spread(factors, regions))

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


@dataclass(frozen=True)
class Linf:
    """The L-infinity ball of the given radius, in the units of pixels in [0, 1].

    Raises UserError if the radius is negative or above LARGEST_RADIUS.
    """

    radius: float

    def __post_init__(self) -> None:
        _check_radius(self.radius)

    def start(self, images: Tensor, seeds: Seeds) -> Tensor:
        return self.place(self.draw(images, seeds), (self.radius,))

    def ascend(self, gradient: Tensor, share: float) -> Tensor:
        return self.step(gradient, (share * self.radius,))

    def project(self, delta: Tensor) -> Tensor:
        return self.shrink(delta, (self.radius,))

    def norms(self, delta: Tensor) -> dict[str, Tensor]:
        return {"image": linf_norm(delta)}

    def only(self, rows: Tensor) -> Linf:
        return self

    @property
    def radii(self) -> dict[str, float]:
        return {"image": self.radius}

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
class Dual:
    """Two balls, one for the foreground and one for the background (the dual-perturbation threat model).

    foreground: bool (N, 1, H, W); an empty or a full mask is legal, the empty region spends nothing.
    Raises UserError if the mask has another shape or type, or if a part is no such ball.
    """

    inside: L2 | Linf
    outside: L2 | Linf
    foreground: Tensor

    def __post_init__(self) -> None:
        for name, part in (("inside", self.inside), ("outside", self.outside)):
            if not isinstance(part, L2 | Linf):
                raise UserError(f"{name}: expected L2(radius) or Linf(radius), got {type(part).__name__}")
        mask = self.foreground
        if not isinstance(mask, Tensor):
            raise UserError(f"foreground: expected a bool tensor (N, 1, H, W), got {type(mask).__name__}")
        if mask.dtype != torch.bool or mask.ndim != 4 or mask.shape[1] != 1:
            raise UserError(
                f"foreground: expected a bool tensor (N, 1, H, W), got {mask.dtype} {tuple(mask.shape)}"
            )

    def start(self, images: Tensor, seeds: Seeds) -> Tensor:
        check_ball(self, images)
        if self._alike:
            # Both regions take their part of one draw, which is slow beside a small network's pass.
            drawn = self.inside.draw(images, seeds)
            return self.inside.place(drawn, self._radii(), regions_of(self.foreground, images))

        return self._apart(
            lambda part, region: part.place(part.draw(images, seeds), (part.radius, 0), (region, 1 - region)),
            images,
        )

    def ascend(self, gradient: Tensor, share: float) -> Tensor:
        if self._alike:
            return self.inside.step(gradient, self._radii(share), regions_of(self.foreground, gradient))
        return self._apart(lambda part, region: part.ascend(gradient * region, share), gradient)

    def project(self, delta: Tensor) -> Tensor:
        if self._alike:
            return self.inside.shrink(delta, self._radii(), regions_of(self.foreground, delta))
        return self._apart(lambda part, region: part.project(delta * region), delta)

    def norms(self, delta: Tensor) -> dict[str, Tensor]:
        foreground, background = regions_of(self.foreground, delta)
        return {
            "foreground": self.inside.norms(delta * foreground)["image"],
            "background": self.outside.norms(delta * background)["image"],
        }

    def only(self, rows: Tensor) -> Dual:
        return replace(self, foreground=self.foreground[rows])

    @property
    def radii(self) -> dict[str, float]:
        return {"foreground": self.inside.radius, "background": self.outside.radius}

    @property
    def _alike(self) -> bool:
        """Whether one pass over the values does for both regions, which costs hardly more than PGD's."""
        return type(self.inside) is type(self.outside)

    def _radii(self, share: float = 1.0) -> tuple[float, float]:
        return share * self.inside.radius, share * self.outside.radius

    def _apart(self, verb: Callable[[L2 | Linf, Tensor], Tensor], values: Tensor) -> Tensor:
        foreground, background = regions_of(self.foreground, values)
        return verb(self.inside, foreground) * foreground + verb(self.outside, background) * background


NORMS: dict[str, type[L2 | Linf]] = {"L2": L2, "Linf": Linf}


def check_ball(ball: Ball, images: Tensor) -> None:
    """It is a ball, and the masks of a `Dual` are those of the images, (N, 1, H, W), and where they are."""
    if isinstance(ball, type) or not all(callable(getattr(ball, verb, None)) for verb in VERBS):
        given = ball.__name__ if isinstance(ball, type) else type(ball).__name__
        raise UserError(f"ball: expected L2(radius), Linf(radius) or Dual(...), got {given}")
    if not isinstance(ball, Dual):
        return
    if ball.foreground.shape != (len(images), 1, *images.shape[2:]):
        raise UserError(
            f"foreground: shape {tuple(ball.foreground.shape)} does not fit images {tuple(images.shape)}"
        )
    check_place("foreground", ball.foreground, images)


def _check_radius(radius: float) -> None:
    if not is_number(radius) or not 0 <= radius <= LARGEST_RADIUS:
        raise UserError(f"radius: expected a number from 0 to {LARGEST_RADIUS:g}, got {radius}")
