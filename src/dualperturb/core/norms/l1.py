"""The L1 norm's ball, with the box of all images (Croce & Hein 2021, "Mind the box")."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

import torch
from torch import Tensor

from dualperturb.core.norms.ball import NormBall, uniform_in_the_ball
from dualperturb.core.regions import (
    STEEPEST,
    Radii,
    Regions,
    Seeds,
    filled,
    l1_lengths,
    l1_norm,
    lowered,
    random_rows,
)


@dataclass(frozen=True)
class L1(NormBall):
    """The L1 ball, or its intersection with the box of all images, once `boxed` has told of that box.

    The steepest step and the nearest point are those of ball and box together (Croce & Hein 2021, "Mind the
    box"). Without the box a step moves few values, further than pixels can, and the clipping that follows
    leaves little of it: such attacks are weak.
    """

    # The images, and the points that the next step begins at.
    box: tuple[Tensor, Tensor] | None = field(default=None, repr=False, compare=False)

    measure = staticmethod(l1_norm)

    @staticmethod
    def draw(images: Tensor, seeds: Seeds) -> Tensor:
        """Laplacian random numbers to make a start of."""

        def laplacian(row: Tensor, generator: torch.Generator) -> Tensor:
            row.exponential_(generator=generator)
            return row.mul_(torch.empty_like(row).uniform_(-1, 1, generator=generator).sign_())

        return random_rows(laplacian, images, seeds)

    @staticmethod
    def place(drawn: Tensor, radii: Radii, regions: Regions = ()) -> Tensor:
        """Uniform in the ball of d dimensions: a Laplacian direction, and U^(1/d) of the radius as length.

        The uniform number U comes from the length of the Laplacian vector, which is independent of its
        direction and has the gamma distribution of shape d. `drawn` is overwritten.
        """
        return uniform_in_the_ball(drawn, radii, regions, l1_lengths(drawn, regions), torch.special.gammainc)

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
        # Rounding to the type of the values may lengthen the result, hence a margin.
        margin = max(torch.finfo(delta.dtype).eps, 1e-12)
        wide = delta.to(torch.promote_types(delta.dtype, torch.float32))
        room, sizes = self._room(wide, 0), wide.abs()
        kept = (
            lowered(sizes * region, room, radius, margin).view_as(sizes) * region
            for radius, region in zip(radii, _parts(regions), strict=True)
        )
        return (_summed(kept) * delta.sign()).to(delta.dtype)

    def _room(self, directions: Tensor, point: int) -> Tensor:
        """How far values can move in the box from box[point] along the signs.

        Without a box, 1 for a step (point 1), and no limit for a whole perturbation (point 0).
        """
        if self.box is None:
            return torch.ones_like(directions) if point else torch.full_like(directions, torch.inf)
        return torch.where(directions > 0, 1 - self.box[point], self.box[point]).to(directions.dtype)


def _parts(regions: Regions) -> Sequence[Tensor | float]:
    return regions or (1.0,)


def _summed(parts: Iterator[Tensor]) -> Tensor:
    return reduce(torch.add, parts)
