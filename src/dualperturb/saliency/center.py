"""The centre bias alone: the control that a saliency model should beat.

Viewers look, and photographers place their subject, near the middle of an image. This model knows that and
nothing else: the same Gaussian for every image.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualperturb.core.score import foreground_mask
from dualperturb.saliency.builtin import centre_bias


class CenterSaliency(nn.Module):
    """A centred Gaussian with the sigma of the built-in model's centre bias, as a normalised log density."""

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) -> log density (N, H, W), in float64 for float64, else in float32.

        Its gradient with respect to the images is 0.
        """
        _, _, height, width = images.shape
        dtype = torch.float64 if images.dtype == torch.float64 else torch.float32
        # Tied to the images, so that whoever asks for a gradient gets zeros and no error.
        return _log_density(height, width, dtype, images.device) + 0 * images[:, 0].to(dtype)


def centre_disc(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """The mask that this model gives every image of a size, by the paper's threshold: bool (1, 1, H, W)."""
    return foreground_mask(_log_density(height, width, torch.float32, torch.device(device)))


@lru_cache(maxsize=16)
def _log_density(height: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(1, H, W)."""
    # A cached tensor made in inference mode could not be used for gradients later.
    with torch.inference_mode(False), torch.no_grad():
        bias = centre_bias(height)[:, None] + centre_bias(width)[None, :]
        return F.log_softmax(bias.flatten(), 0).reshape(1, height, width).to(device, dtype)
