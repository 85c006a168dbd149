"""The masks of adversarial training: each image's own, or others, to ask whether the place matters."""

from __future__ import annotations

import numpy as np
import torch

from dualperturb.saliency import foreground_mask
from dualperturb.saliency.center import CenterSaliency


def at_random_places(foreground: np.ndarray, seed: int) -> np.ndarray:
    """Every mask moved to a random place, over the edges to the other side: the same shape and size.

    foreground: bool (N, 1, H, W); a new array.
    """
    random = np.random.default_rng([seed, len(foreground)])
    moves = random.integers(0, foreground.shape[2:], size=(len(foreground), 2))
    return np.stack([np.roll(mask, move, axis=(1, 2)) for mask, move in zip(foreground, moves, strict=True)])


def in_the_center(foreground: np.ndarray) -> np.ndarray:
    """The mask of the saliency model `center`, which looks at no image, for all; a view without memory of its
    own. It takes the pixels above half its log density's range (the paper's threshold).
    """
    side = foreground.shape[-1]
    mask = foreground_mask(CenterSaliency()(torch.zeros(1, 3, side, side)), "log")
    return np.broadcast_to(mask.numpy(), foreground.shape)
