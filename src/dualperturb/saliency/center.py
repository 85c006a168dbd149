"""The centre bias alone: the control that a saliency model should beat.

Viewers look, and photographers place their subject, near the middle of an image. This model knows that and
nothing else: the same Gaussian for every image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualperturb.saliency.builtin import centre_bias


class CenterSaliency(nn.Module):
    """A centred Gaussian, its sigma that of the built-in model's centre bias, as a normalised log density."""

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) -> log density (N, H, W), in float64 for float64, else in float32.

        Its gradient with respect to the images is 0.
        """
        _, _, height, width = images.shape
        dtype = torch.float64 if images.dtype == torch.float64 else torch.float32
        bias = centre_bias(height)[:, None] + centre_bias(width)[None, :]
        log_density = F.log_softmax(bias.flatten(), 0).reshape(1, height, width).to(images.device, dtype)
        # Tied to the images, so that whoever asks for a gradient gets zeros and no error.
        return log_density + 0 * images[:, 0].to(dtype)
