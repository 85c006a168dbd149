"""The L-infinity norm's ball."""

from __future__ import annotations

from torch import Tensor

from dualperturb.core.norms.ball import NormBall
from dualperturb.core.regions import Radii, Regions, Seeds, linf_norm, random_rows, round_down, spread


class Linf(NormBall):
    """The L-infinity ball."""

    measure = staticmethod(linf_norm)

    @staticmethod
    def draw(images: Tensor, seeds: Seeds) -> Tensor:
        """Uniform random numbers to make a start of."""
        return random_rows(Tensor.uniform_, images, seeds)

    @classmethod
    def place(cls, drawn: Tensor, radii: Radii, regions: Regions = ()) -> Tensor:
        """Uniform in the cube."""
        return cls.shrink((2 * drawn - 1) * spread(radii, regions), radii, regions)

    @staticmethod
    def step(gradient: Tensor, lengths: Radii, regions: Regions = ()) -> Tensor:
        """Along the signs of the gradient, in each region with the region's length."""
        return gradient.sign() * spread(lengths, regions)

    @staticmethod
    def shrink(delta: Tensor, radii: Radii, regions: Regions = ()) -> Tensor:
        """The nearest perturbation without a value above its region's radius."""
        bound = spread([round_down(float(radius), delta.dtype) for radius in radii], regions)
        return delta.clamp(-bound, bound)  # type: ignore[arg-type]
