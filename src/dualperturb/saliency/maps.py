"""What the saliency models without weights share: checked images, blur and resizing, maps as densities."""

from __future__ import annotations

from abc import abstractmethod
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualperturb.errors import UserError

FLOOR = 1e-2  # share of the density that is even, so that no pixel's logarithm is without bound
NO_SALIENCE = 1e-12  # in place of a map's mean of zero, as that of a plain image


class MapSaliency(nn.Module):
    """A saliency map of values of at least 0, scaled to a density. No centre bias is added.

    The classical models differ in the map alone. As judges of an attack that climbed another model each looks
    at an image in its own way. None of them is DeepGaze, and none predicts fixations well.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] -> log density (N, H, W), in float64 for float64, else in float32.

        Raises UserError for another shape or for whole numbers.
        """
        seen = checked("saliency model", images)
        with torch.autocast(images.device.type, enabled=False):
            found = self.salience(seen)
        share = found / found.mean((1, 2), keepdim=True).clamp_min(NO_SALIENCE)
        mixed = FLOOR + (1 - FLOOR) * share
        return (mixed / mixed.sum((1, 2), keepdim=True)).log()

    @abstractmethod
    def salience(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in float32 or float64 -> the map, (N, H, W), of values of at least 0."""


def checked(name: str, images: Tensor) -> Tensor:
    """Images (N, 3, H, W) in float64 or float32. Raises UserError for another shape or for whole numbers."""
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise UserError(
            f"{name}: images: found {images.dtype} {tuple(images.shape)}, accepted is "
            "float (N, 3, H, W) in [0, 1]; to look at one channel, repeat it three times"
        )
    return images.to(torch.float64 if images.dtype == torch.float64 else torch.float32)


def both_axes(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """One matrix for the rows and one for the columns of maps (..., H, W)."""
    return rows @ (maps @ columns.T)


def blurred(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of maps (..., H, W); sigma: pixels."""
    rows, columns = (_cast_gaussian(side, sigma, maps.dtype, maps.device) for side in maps.shape[-2:])
    return both_axes(maps, rows, columns)


@lru_cache(maxsize=64)
def _cast_gaussian(side: int, sigma: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    # A cached tensor made in inference mode could not be used for gradients later.
    with torch.inference_mode(False), torch.no_grad():
        return gaussian(side, sigma).to(device, dtype)


def gaussian(side: int, sigma: float) -> Tensor:
    """Gaussian blur as a matrix, float64 (side, side); sigma: pixels. Weights sum to 1 at the edges, too."""
    index = torch.arange(side, dtype=torch.float64)
    weights = torch.exp(-0.5 * ((index[:, None] - index[None, :]) / sigma) ** 2)
    return weights / weights.sum(1, keepdim=True)


def resize_matrix(source: int, target: int) -> Tensor:
    """Bilinear resizing, antialiased, as a matrix: its backward pass is deterministic on every device."""
    identity = torch.eye(source, dtype=torch.float64)[None, None]
    return F.interpolate(identity, (target, source), mode="bilinear", antialias=True)[0, 0]


def length(values: Tensor) -> Tensor:
    """The Euclidean length along the channels of (N, C, H, W), (N, H, W), with a gradient where it is 0."""
    return (values.square().sum(1) + NO_SALIENCE).sqrt()
