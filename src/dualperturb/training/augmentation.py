"""Joint augmentation of images and their masks: a random shift and a mirror."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from dualperturb.params.training import Augment


def augment(images: Tensor, foreground: Tensor, settings: Augment, moves: Tensor) -> tuple[Tensor, Tensor]:
    """Shift and mirror images and, along with them, their masks as `moves` says, on the device they are on.

    images: uint8 (N, 3, H, W), continued past their edges by their edge pixels; foreground: bool
    (N, 1, H, W), continued by background; moves: int64 (3, N) of `draw_moves` for the same settings, on the
    same device.
    """
    if not (settings.pad or settings.flip):
        return images, foreground
    count, (height, width) = len(images), images.shape[-2:]
    down, right, mirrored = moves.unsqueeze(-1)
    # Where each pixel of the result comes from, (N, H) and (N, W), possibly past the edge.
    rows = torch.arange(height, device=images.device) + (down - settings.pad)
    columns = torch.arange(width, device=images.device) + (right - settings.pad)
    if settings.flip:
        columns = torch.where(mirrored.bool(), columns.flip(1), columns)
    inside = _within(rows, height).unsqueeze(2) & _within(columns, width).unsqueeze(1)
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    pixels = (rows.unsqueeze(2) * width + columns.unsqueeze(1)).view(count, 1, height * width)
    return _taken(images, pixels), _taken(foreground, pixels) & inside.unsqueeze(1)


def draw_moves(count: int, settings: Augment, random: np.random.Generator) -> np.ndarray:
    """int64 (3, count): for each image its shift down and right, 0 to 2 `pad`, and 1 where it is mirrored."""
    shifts = random.integers(0, 2 * settings.pad + 1, (2, count))
    return np.vstack([shifts, random.random(count) < 0.5])


def _within(places: Tensor, size: int) -> Tensor:
    return (places >= 0) & (places < size)


def _taken(planes: Tensor, pixels: Tensor) -> Tensor:
    """From every plane of an image, (N, C, H, W), the pixels at these places, (N, 1, H * W)."""
    taken = planes.flatten(2).gather(2, pixels.expand(-1, planes.shape[1], -1))
    return taken.view(planes.shape)
