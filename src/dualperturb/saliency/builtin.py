"""The built-in saliency model: no weights, differentiable, a few matrix products.

Two energies are combined with a centre bias:

- the image signature (Hou, Harel and Koch, "Image signature: highlighting sparse salient regions", IEEE PAMI,
  2012): the inverse DCT of the sign of an image's DCT is large where a sparse foreground lies. The sign is
  softened to a tanh, which has a gradient.
- the border prior: the Mahalanobis distance of a pixel's colour from the colours at the image's border, which
  mostly shows background.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualperturb.saliency.maps import both_axes, checked, gaussian, resize_matrix

ENERGY_SIDE = (
    64  # Hou et al. 2012 compute the signature on images of 64 pixels; smaller images keep their size.
)
BLUR_SIGMA = 0.03  # share of the side, within the range Hou et al. 2012 found best
CENTRE_SIGMA = 0.3  # share of the side
EXPONENT = 0.6  # of each of the two energies
GAMMA = 2.0  # sharpens the product of the energies
# The next five were chosen on COCO photographs against the union of their instance masks; optima are flat.
SIGN_WIDTH = 0.03  # DCT coefficient (orthonormal, pixels in [0, 1]) at which the softened sign is tanh(1)
ENERGY_FLOOR = 0.1  # added before the log, so that the energy of an image where nothing stands out is flat
BORDER_SHARE = 0.06  # width of the border as a share of the side
BORDER_RIDGE = 1e-3  # added to the colour variances at the border
DISTANCE_FLOOR = 1e-2  # added to squared distances: the square root has no gradient at 0
# Orthonormal opponent colours (Ohta, Kanade and Sakai 1980): intensity, red-blue, green-magenta.
OPPONENT = (
    (3**-0.5, 3**-0.5, 3**-0.5),
    (2**-0.5, 0.0, -(2**-0.5)),
    (-(6**-0.5), 2 * 6**-0.5, -(6**-0.5)),
)


class BuiltinSaliency(nn.Module):
    """Image signature times border prior times centre bias, as a normalised log density."""

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] -> log density (N, H, W), in float64 for float64, else in float32.

        Raises UserError for another shape or for whole numbers.
        """
        seen = checked("saliency model builtin", images)
        with torch.autocast(images.device.type, enabled=False):
            return _log_density(seen)


def _log_density(images: Tensor) -> Tensor:
    constants = _constants(images.shape[2], images.shape[3], images.dtype, images.device)
    small = images
    if constants.shrink is not None:
        small = both_axes(small, *constants.shrink)
    colours = (constants.opponent @ small.flatten(2)).reshape(small.shape)
    energies = torch.stack(
        (_signature(colours, constants.dct), _border_distance(colours, constants.border)), 1
    )
    log_energies = (both_axes(energies, *constants.blur) + ENERGY_FLOOR).log().sum(1)
    if constants.enlarge is not None:
        log_energies = both_axes(log_energies, *constants.enlarge)
    unnormalised = GAMMA * EXPONENT * log_energies + constants.centre
    return F.log_softmax(unnormalised.flatten(1), 1).reshape(unnormalised.shape)


def _signature(colours: Tensor, dct: _Pair) -> Tensor:
    """Squared inverse DCT of the DCT's softened sign, summed over channels: (N, 3, h, w) -> (N, h, w)."""
    # Without its mean a plain image has no coefficient at all, so no energy and no gradient.
    varying = colours - colours.mean((2, 3), keepdim=True)
    signs = torch.tanh(both_axes(varying, *dct) / SIGN_WIDTH)
    return both_axes(signs, dct.rows.T, dct.columns.T).square().sum(1)


def _border_distance(colours: Tensor, border: Tensor) -> Tensor:
    """Mahalanobis distance from the border's colours: (N, 3, h, w) -> (N, h, w)."""
    flat = colours.flatten(2)
    centred = flat - (flat * border).sum(2, keepdim=True)
    covariance = (centred * border) @ centred.mT
    ridge = BORDER_RIDGE * torch.eye(3, dtype=flat.dtype, device=flat.device)
    factor = torch.linalg.cholesky_ex(covariance + ridge).L
    whitened: Tensor = torch.linalg.solve_triangular(factor, centred, upper=False)
    return (whitened.square().sum(1) + DISTANCE_FLOOR).sqrt().reshape(colours[:, 0].shape)


class _Pair(NamedTuple):
    """One matrix for the rows and one for the columns of an image."""

    rows: Tensor
    columns: Tensor


class _Constants(NamedTuple):
    """Tensors that depend on the image size alone."""

    opponent: Tensor  # (3, 3)
    shrink: _Pair | None  # image size -> energy size; None where they are equal
    dct: _Pair
    blur: _Pair
    border: Tensor  # (h w,), sums to 1 over the border's pixels
    enlarge: _Pair | None  # energy size -> image size
    centre: Tensor  # (H, W), log of the centre bias


@lru_cache(maxsize=16)
def _constants(height: int, width: int, dtype: torch.dtype, device: torch.device) -> _Constants:
    # Cached tensors made in inference mode could not be used for gradients later.
    with torch.inference_mode(False), torch.no_grad():
        size, small = (height, width), (min(height, ENERGY_SIDE), min(width, ENERGY_SIDE))

        def cast(matrix: Tensor) -> Tensor:
            return matrix.to(device, dtype)

        def pair(rows: Tensor, columns: Tensor) -> _Pair:
            return _Pair(cast(rows), cast(columns))

        same = size == small
        return _Constants(
            opponent=cast(torch.tensor(OPPONENT, dtype=torch.float64)),
            shrink=None if same else pair(*(resize_matrix(n, m) for n, m in zip(size, small, strict=True))),
            dct=pair(*(_dct(n) for n in small)),
            blur=pair(*(gaussian(n, BLUR_SIGMA * n) for n in small)),
            border=cast(_border(*small).flatten()),
            enlarge=None if same else pair(*(resize_matrix(m, n) for n, m in zip(size, small, strict=True))),
            centre=cast(centre_bias(height)[:, None] + centre_bias(width)[None, :]),
        )


def _dct(side: int) -> Tensor:
    """The orthonormal DCT-II matrix."""
    index = torch.arange(side, dtype=torch.float64)
    matrix = torch.cos(math.pi / side * index[:, None] * (index[None, :] + 0.5)) * math.sqrt(2 / side)
    matrix[0] /= math.sqrt(2)
    return matrix


def _border(height: int, width: int) -> Tensor:
    """Equal weights on the pixels near the edge, at least one pixel wide."""
    weights = torch.ones(height, width, dtype=torch.float64)
    rows, columns = (max(1, round(BORDER_SHARE * side)) for side in (height, width))
    weights[rows : height - rows, columns : width - columns] = 0
    return weights / weights.sum()


def centre_bias(side: int) -> Tensor:
    """Log of a Gaussian along one axis, up to a constant."""
    position = (torch.arange(side, dtype=torch.float64) + 0.5) / side - 0.5
    return -0.5 * (position / CENTRE_SIGMA) ** 2
