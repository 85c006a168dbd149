"""Joint augmentation of images and their masks: a random shift and a mirror."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dualperturb.train_params import Augment


def augment(
    images: Tensor, foreground: Tensor, settings: Augment, moves: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Shift and mirror images as `moves` says, the masks moving along.

    images: uint8 (N, 3, H, W), continued past its edge by its edge pixels; foreground: bool (N, 1, H, W),
    continued by background; moves: (3, N) of `draw_moves` for the same settings.
    """
    (down, right, mirrored), pad = moves, settings.pad
    if pad:
        wide = F.pad(images.float(), (pad,) * 4, mode="replicate").to(images.dtype)
        images, foreground = (
            _crop(wide, down, right, pad),
            _crop(F.pad(foreground, (pad,) * 4), down, right, pad),
        )
    if settings.flip:
        flip = torch.from_numpy(mirrored.astype(bool)).view(-1, 1, 1, 1)
        images = torch.where(flip, images.flip(-1), images)
        foreground = torch.where(flip, foreground.flip(-1), foreground)
    return images, foreground


def draw_moves(count: int, settings: Augment, random: np.random.Generator) -> np.ndarray:
    """int64 (3, count): for each image its shift down and right, 0 to 2 `pad`, and 1 where it is mirrored."""
    shifts = random.integers(0, 2 * settings.pad + 1, (2, count))
    return np.vstack([shifts, random.random(count) < 0.5])


def _crop(padded: Tensor, down: np.ndarray, right: np.ndarray, pad: int) -> Tensor:
    """From each padded image the window that starts at (down, right)."""
    height, width = padded.shape[-2] - 2 * pad, padded.shape[-1] - 2 * pad
    windows = [
        image[:, y : y + height, x : x + width]
        for image, y, x in zip(padded, down.tolist(), right.tolist(), strict=True)
    ]
    return torch.stack(windows)
