"""Frequency-tuned saliency: how far a pixel's colour, slightly blurred, lies from the image's mean colour.

Achanta, Hemami, Estrada and Süsstrunk, "Frequency-tuned salient region detection", CVPR 2009, equation 4: the
distance in CIELAB between the mean and the image after a 5x5 binomial filter.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dualperturb.saliency.maps import MapSaliency, length

BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
# Linear sRGB to XYZ over the white point D65 (IEC 61966-2-1).
XYZ = (
    (0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883),
)
# Lightness, green to red, blue to yellow, from the cube roots of X, Y and Z; their offset cancels out.
LAB = ((0.0, 116.0, 0.0), (500.0, -500.0, 0.0), (0.0, 200.0, -200.0))
KNEE = (6 / 29) ** 3  # below it CIELAB goes on as a line


class FrequencyTunedSaliency(MapSaliency):
    """The distance from the mean colour in CIELAB."""

    def salience(self, images: Tensor) -> Tensor:
        colours = lab(images)
        return length(_filtered(colours) - colours.mean((2, 3), keepdim=True))


def lab(images: Tensor) -> Tensor:
    """sRGB (N, 3, H, W) in [0, 1] -> CIELAB, whose lightness is 16 too high."""
    linear = torch.where(
        images <= 0.04045, images / 12.92, ((images.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4
    )
    ratios = _mixed(XYZ, linear)
    roots = torch.where(ratios > KNEE, ratios.clamp_min(KNEE) ** (1 / 3), ratios * 841 / 108 + 4 / 29)
    return _mixed(LAB, roots)


def _mixed(matrix: tuple[tuple[float, ...], ...], colours: Tensor) -> Tensor:
    return (colours.new_tensor(matrix) @ colours.flatten(2)).reshape(colours.shape)


def _filtered(colours: Tensor) -> Tensor:
    weights = colours.new_tensor(BINOMIAL)
    kernel = (weights[:, None] * weights[None, :]).expand(3, 1, 5, 5)
    return F.conv2d(F.pad(colours, (2, 2, 2, 2), mode="replicate"), kernel, groups=3)
