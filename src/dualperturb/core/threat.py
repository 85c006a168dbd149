"""Threat models: norms, radii, masks. Start, ascend, project; no classifier in here.

A *ball* is anything with the three verbs and `norms`. `L2` and `Linf` are balls over the whole image, or over
a region when one is passed; `Dual` applies each verb in the foreground and in the background and adds the
results, so that plain PGD and the dual-perturbation attack run through the same loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from dualperturb.errors import UserError

Seeds = Sequence[int]


class Ball(Protocol):
    """What an attack may do to a batch of images. Every tensor is (N, C, H, W)."""

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

    Every verb takes an optional `region`, (N, 1, H, W), bool or ones and zeros: outside it the perturbation
    is zero. Raises UserError if the radius is negative or not finite.
    """

    radius: float

    def __post_init__(self) -> None:
        _check_radius(self.radius)

    def start(self, images: Tensor, seeds: Seeds, region: Tensor | None = None) -> Tensor:
        """Uniform in the ball: a Gaussian direction; as length the largest of d uniform numbers, U^(1/d)."""
        return self.place(self.draw(images, seeds), region)

    def draw(self, images: Tensor, seeds: Seeds) -> tuple[Tensor, ...]:
        """What a start is made of, for any region: normal numbers and uniform ones."""
        return _draw(torch.randn, images, seeds), _draw(torch.rand, images, seeds, stream=1)

    def place(self, drawn: tuple[Tensor, ...], region: Tensor | None = None) -> Tensor:
        """The start that `drawn` makes."""
        direction, uniform = (_masked(numbers, region) for numbers in drawn)
        lengths = uniform.flatten(1).amax(dim=1)
        return self.project(unit(direction) * (self.radius * lengths).view(-1, 1, 1, 1))

    def ascend(self, gradient: Tensor, share: float, region: Tensor | None = None) -> Tensor:
        # Masked before it is normalised: a region gets its full step, however small its part of the gradient.
        return unit(_masked(gradient, region)) * (share * self.radius)

    def project(self, delta: Tensor, region: Tensor | None = None) -> Tensor:
        delta = _masked(delta, region)
        norm = l2_norm(delta)
        # Rounding to a narrow type may lengthen the scaled perturbation, hence the last factor.
        shrunk = self.radius / norm.clamp_min(_tiny(norm)) * (1 - torch.finfo(delta.dtype).eps)
        # Squares of values below 1e-22 vanish: a radius of zero does not wait for a norm above it.
        factor = torch.where(norm > self.radius, shrunk, float(self.radius > 0))
        return delta * factor.to(delta.dtype).view(-1, 1, 1, 1)

    def norms(self, delta: Tensor) -> dict[str, Tensor]:
        return {"image": l2_norm(delta)}

    def only(self, rows: Tensor) -> L2:
        return self


@dataclass(frozen=True)
class Linf:
    """The L-infinity ball of the given radius, in the units of pixels in [0, 1].

    Every verb takes an optional `region`, (N, 1, H, W), bool or ones and zeros: outside it the perturbation
    is zero. Raises UserError if the radius is negative or not finite.
    """

    radius: float

    def __post_init__(self) -> None:
        _check_radius(self.radius)

    def start(self, images: Tensor, seeds: Seeds, region: Tensor | None = None) -> Tensor:
        """Uniform in the cube."""
        return self.place(self.draw(images, seeds), region)

    def draw(self, images: Tensor, seeds: Seeds) -> tuple[Tensor, ...]:
        """What a start is made of, for any region: uniform numbers."""
        return (_draw(torch.rand, images, seeds),)

    def place(self, drawn: tuple[Tensor, ...], region: Tensor | None = None) -> Tensor:
        """The start that `drawn` makes."""
        return self.project(_masked((2 * drawn[0] - 1) * self.radius, region))

    def ascend(self, gradient: Tensor, share: float, region: Tensor | None = None) -> Tensor:
        return _masked(gradient, region).sign() * (share * self.radius)

    def project(self, delta: Tensor, region: Tensor | None = None) -> Tensor:
        bound = _round_down(self.radius, delta.dtype)
        return _masked(delta, region).clamp(-bound, bound)

    def norms(self, delta: Tensor) -> dict[str, Tensor]:
        return {"image": linf_norm(delta)}

    def only(self, rows: Tensor) -> Linf:
        return self


@dataclass(frozen=True)
class Dual:
    """Two balls, one for the foreground and one for the background (the dual-perturbation threat model).

    foreground: bool (N, 1, H, W); an empty or a full mask is legal, the empty region spends nothing.
    Raises UserError if the mask has another shape or type.
    """

    inside: L2 | Linf
    outside: L2 | Linf
    foreground: Tensor

    def __post_init__(self) -> None:
        mask = self.foreground
        if not isinstance(mask, Tensor):
            raise UserError(f"foreground: expected a bool tensor (N, 1, H, W), got {type(mask).__name__}")
        if mask.dtype != torch.bool or mask.ndim != 4 or mask.shape[1] != 1:
            raise UserError(
                f"foreground: expected a bool tensor (N, 1, H, W), got {mask.dtype} {tuple(mask.shape)}"
            )

    def start(self, images: Tensor, seeds: Seeds) -> Tensor:
        if self.foreground.shape[0] != len(images) or self.foreground.shape[2:] != images.shape[2:]:
            raise UserError(
                f"foreground: shape {tuple(self.foreground.shape)} does not fit images {tuple(images.shape)}"
            )
        foreground, background = self._regions(images)
        # Drawing is slow beside a small network's pass: both regions take their part of one draw.
        drawn = self.inside.draw(images, seeds)
        inside = self.inside.place(drawn, foreground)
        if type(self.outside) is not type(self.inside):
            drawn = self.outside.draw(images, seeds)
        return inside + self.outside.place(drawn, background)

    def ascend(self, gradient: Tensor, share: float) -> Tensor:
        foreground, background = self._regions(gradient)
        inside = self.inside.ascend(gradient, share, foreground)
        return inside + self.outside.ascend(gradient, share, background)

    def project(self, delta: Tensor) -> Tensor:
        foreground, background = self._regions(delta)
        return self.inside.project(delta, foreground) + self.outside.project(delta, background)

    def norms(self, delta: Tensor) -> dict[str, Tensor]:
        foreground = self.inside.norms(delta * self.foreground)["image"]
        return {
            "foreground": foreground,
            "background": self.outside.norms(delta * ~self.foreground)["image"],
        }

    def only(self, rows: Tensor) -> Dual:
        return replace(self, foreground=self.foreground[rows])

    def _regions(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Foreground and background as ones and zeros of the values' type: a product with bools is slow."""
        foreground = self.foreground.to(values.dtype)
        return foreground, 1 - foreground


NORMS: dict[str, type[L2 | Linf]] = {"L2": L2, "Linf": Linf}


def l2_norm(delta: Tensor) -> Tensor:
    """(N, ...) -> (N,), summed in at least float32."""
    wide = torch.promote_types(delta.dtype, torch.float32)
    return torch.linalg.vector_norm(delta.flatten(1), dim=1, dtype=wide)


def linf_norm(delta: Tensor) -> Tensor:
    """(N, ...) -> (N,)."""
    return delta.flatten(1).abs().amax(dim=1).to(torch.promote_types(delta.dtype, torch.float32))


def _masked(values: Tensor, region: Tensor | None) -> Tensor:
    return values if region is None else values * region


def unit(values: Tensor) -> Tensor:
    """Each image's values over their L2 norm; zero stays zero.

    Scaled by the largest value first: the square of a small gradient would vanish in float32.
    """
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    largest = values.flatten(1).abs().amax(dim=1).view(-1, 1, 1, 1)
    values = values / largest.clamp_min(_tiny(values))
    return values / l2_norm(values).clamp_min(_tiny(values)).view(-1, 1, 1, 1)


def _draw(kind: object, images: Tensor, seeds: Seeds, stream: int = 0) -> Tensor:
    """Random numbers shaped like `images`, image by image from generators of their own, on the CPU.

    On the CPU, so that a run on another device starts at the same points.
    """
    assert callable(kind) and len(seeds) == len(images), "one seed an image"
    generator = torch.Generator()
    rows = [
        kind(images.shape[1:], generator=generator.manual_seed((seed + stream) % 2**63)) for seed in seeds
    ]
    noise = torch.stack(rows) if rows else torch.empty(images.shape)
    return noise.to(device=images.device, dtype=images.dtype)


def _tiny(values: Tensor) -> float:
    return torch.finfo(values.dtype).tiny


def _round_down(radius: float, dtype: torch.dtype) -> float:
    """The largest number of `dtype` that is not above `radius`, to float32's own precision."""
    if dtype in (torch.float32, torch.float64):
        return radius
    rounded = torch.tensor(radius, dtype=dtype)
    if float(rounded) > radius:
        rounded = torch.nextafter(rounded, torch.zeros_like(rounded))
    return float(rounded)


def _check_radius(radius: float) -> None:
    if not 0 <= radius < float("inf"):
        raise UserError(f"radius: expected a finite number of at least 0, got {radius}")
