"""Threat models: norms, radii and masks, with the verbs start, ascend and project; no classifier in here.

A *ball* is anything with the three verbs, `norms` and `only`. The classes of the package `norms` are balls
over the whole image. `Dual` applies each verb in the foreground and in the background, so that plain PGD and
the dual-perturbation attack run through the same loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from dualperturb.core.checks import check_place
from dualperturb.core.norms import BALLS, NormBall
from dualperturb.core.regions import Seeds, regions_of
from dualperturb.errors import UserError

VERBS = ("start", "ascend", "project", "norms", "only")


class Ball(Protocol):
    """What an attack may do to a batch of images. Every tensor is (N, C, H, W).

    Where a ball has `radii`, a number or a tensor (N,) for each region of `norms`, every result must keep to
    them.
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
class Dual:
    """Two balls, one for the foreground and one for the background (the dual-perturbation threat model).

    foreground: bool (N, 1, H, W); an empty or a full mask is legal, the empty region spends nothing.
    Raises UserError if the mask has another shape or type, or if `inside` or `outside` is no `NormBall`.
    """

    inside: NormBall
    outside: NormBall
    foreground: Tensor

    def __post_init__(self) -> None:
        for name, part in (("inside", self.inside), ("outside", self.outside)):
            if not isinstance(part, NormBall):
                raise UserError(f"{name}: expected {_one_of()}, got {_kind(part)}")
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
            # Both regions take their part of one draw: drawing is slow compared with a small network's pass.
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
            "foreground": self.inside.measure(delta * foreground),
            "background": self.outside.measure(delta * background),
        }

    def boxed(self, images: Tensor, seen: Tensor) -> Dual:
        inside, outside = (part.boxed(images, seen) for part in (self.inside, self.outside))
        if inside is self.inside and outside is self.outside:
            return self
        return replace(self, inside=inside, outside=outside)

    def only(self, rows: Tensor) -> Dual:
        return replace(self, foreground=self.foreground[rows])

    @property
    def radii(self) -> dict[str, float]:
        return {"foreground": self.inside.radius, "background": self.outside.radius}

    @property
    def _alike(self) -> bool:
        """Whether one pass over the values serves both regions, which costs hardly more than PGD's pass."""
        return type(self.inside) is type(self.outside)

    def _radii(self, share: float = 1.0) -> tuple[float, float]:
        return share * self.inside.radius, share * self.outside.radius

    def _apart(self, verb: Callable[[NormBall, Tensor], Tensor], values: Tensor) -> Tensor:
        foreground, background = regions_of(self.foreground, values)
        return verb(self.inside, foreground) * foreground + verb(self.outside, background) * background


def boxed(ball: Ball, images: Tensor, seen: Tensor) -> Ball:
    """The ball, told of the pixel range, which the steps of some norms need (see `norms.L1`).

    images: the clean ones; seen: those from which the next step begins. A ball of your own needs no `boxed`.
    """
    told: Callable[[Tensor, Tensor], Ball] | None = getattr(ball, "boxed", None)
    return ball if told is None else told(images, seen)


def check_ball(ball: Ball, images: Tensor) -> None:
    """Check that it is a ball, and that a `Dual`'s masks, (N, 1, H, W), fit the images, on their device."""
    if isinstance(ball, type) or not all(callable(getattr(ball, verb, None)) for verb in VERBS):
        raise UserError(f"ball: expected {_one_of('Dual(...)')}, got {_kind(ball)}")
    if not isinstance(ball, Dual):
        return
    if ball.foreground.shape != (len(images), 1, *images.shape[2:]):
        raise UserError(
            f"foreground: shape {tuple(ball.foreground.shape)} does not fit images {tuple(images.shape)}"
        )
    check_place("foreground", ball.foreground, images)


def _one_of(*others: str) -> str:
    """What is accepted, in words: "L2(radius), Linf(radius) or Dual(...)"."""
    *names, last = *(f"{name}(radius)" for name in BALLS), *others
    return f"{', '.join(names)} or {last}"


def _kind(found: object) -> str:
    return found.__name__ if isinstance(found, type) else type(found).__name__
