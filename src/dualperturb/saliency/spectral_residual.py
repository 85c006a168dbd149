"""The spectral residual: what an image's spectrum has over the smooth one that images have in common.

Hou and Zhang, "Saliency detection: a spectral residual approach", CVPR 2007: the log amplitude less its mean
over 3x3 frequencies, with the phase kept, back in the image, squared and blurred.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dualperturb.saliency.maps import MapSaliency, blurred, both_axes, resize_matrix

SIDE = 64  # pixels at which the paper computes it; smaller images keep their size
BLUR = 2.5 / 64  # sigma, share of the side
NO_AMPLITUDE = 1e-6  # added to amplitudes before the logarithm


class SpectralResidualSaliency(MapSaliency):
    """The squared residual of the grey image."""

    def salience(self, images: Tensor) -> Tensor:
        grey = images.mean(1)
        size = grey.shape[1:]
        small = [min(side, SIDE) for side in size]
        if small != list(size):
            grey = both_axes(grey, *_resized(grey, size, small))
        found = blurred(_residual(grey).abs().square(), BLUR * min(small))
        return found if small == list(size) else both_axes(found, *_resized(grey, small, size))


def _residual(grey: Tensor) -> Tensor:
    """(N, h, w) -> complex (N, h, w)."""
    spectrum = torch.fft.fft2(grey)
    # exp(log amplitude - its mean) at the same phase is the spectrum over exp(the mean).
    logs = (spectrum.abs() + NO_AMPLITUDE).log()
    around = F.avg_pool2d(F.pad(logs[:, None], (1, 1, 1, 1), mode="circular"), 3, stride=1)[:, 0]
    return torch.fft.ifft2(spectrum * (-around).exp())


def _resized(like: Tensor, source: torch.Size | list[int], target: torch.Size | list[int]) -> list[Tensor]:
    return [resize_matrix(n, m).to(like.device, like.dtype) for n, m in zip(source, target, strict=True)]
