"""Joint augmentation of images and their masks: a random shift and a mirror."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dualperturb.train_params import Augment


def augment(
    images: Tensor, foreground: Tensor, settings: Augment, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Shift by up to `pad` pixels each way and mirror half of the images, the mask moving along.

    images: uint8 (N, 3, H, W), continued past its edge by its edge pixels; foreground: bool (N, 1, H, W),
    continued by background.
    """
    count, pad = len(images), settings.pad
    down, right = random.integers(0, 2 * pad + 1, (2, count))
    mirrored = random.random(count) < 0.5
    if pad:
        wide = F.pad(images.float(), (pad,) * 4, mode="replicate").to(images.dtype)
        images, foreground = (
            _crop(wide, down, right, pad),
            _crop(F.pad(foreground, (pad,) * 4), down, right, pad),
        )
    if settings.flip:
        flip = torch.from_numpy(mirrored).view(-1, 1, 1, 1)
        images = torch.where(flip, images.flip(-1), images)
        foreground = torch.where(flip, foreground.flip(-1), foreground)
    return images, foreground


def _crop(padded: Tensor, down: np.ndarray, right: np.ndarray, pad: int) -> Tensor:
    """From each padded image the window that starts at (down, right)."""
    height, width = padded.shape[-2] - 2 * pad, padded.shape[-1] - 2 * pad
    windows = [
        image[:, y : y + height, x : x + width]
        for image, y, x in zip(padded, down.tolist(), right.tolist(), strict=True)
    ]
    return torch.stack(windows)
