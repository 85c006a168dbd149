"""The L2 norm's ball."""

from __future__ import annotations

import torch
from torch import Tensor

from dualperturb.core.norms.ball import NormBall, uniform_in_the_ball
from dualperturb.core.regions import (
    NO_LENGTH,
    Radii,
    Regions,
    Seeds,
    l2_lengths,
    l2_measured,
    l2_norm,
    random_rows,
    spread,
)


class L2(NormBall):
    """The L2 ball."""

    measure = staticmethod(l2_norm)

    @staticmethod
    def draw(images: Tensor, seeds: Seeds) -> Tensor:
        """Normal random numbers to make a start of."""
        return random_rows(Tensor.normal_, images, seeds)

    @staticmethod
    def place(drawn: Tensor, radii: Radii, regions: Regions = ()) -> Tensor:
        """Uniform in the ball of d dimensions: a Gaussian direction, and U^(1/d) of the radius as length.

        The uniform number U comes from the length of the Gaussian vector, which is independent of its
        direction; its square is chi-squared distributed with d degrees of freedom. `drawn` is overwritten.
        """

        def shorter(size: Tensor, norm: Tensor) -> Tensor:
            return torch.special.gammainc(size / 2, norm**2 / 2)

        return uniform_in_the_ball(drawn, radii, regions, l2_lengths(drawn, regions), shorter)

    @staticmethod
    def step(gradient: Tensor, lengths: Radii, regions: Regions = ()) -> Tensor:
        """Along the gradient, in each region with the region's length; zero where the gradient is zero."""
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
            # A radius of zero clears the region even if its norm is 0: squares of values below 1e-22 vanish.
            factors.append(torch.where(norm > radius, shrunk, float(radius > 0)).to(delta.dtype))
        return delta * spread(factors, regions)
