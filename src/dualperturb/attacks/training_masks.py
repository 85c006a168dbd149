"""The masks of adversarial training: each image's own, or others, to ask whether the place matters."""

from __future__ import annotations

import numpy as np

from dualperturb.saliency.center import centre_disc


def at_random_places(foreground: np.ndarray, seed: int) -> np.ndarray:
    """Every mask moved to a random place, over the edges to the other side: the same shape and size.

    foreground: bool (N, 1, H, W); a new array.
    """
    random = np.random.default_rng([seed, len(foreground)])
    moves = random.integers(0, foreground.shape[2:], size=(len(foreground), 2))
    return np.stack([np.roll(mask, move, axis=(1, 2)) for mask, move in zip(foreground, moves, strict=True)])


def in_the_center(foreground: np.ndarray) -> np.ndarray:
    """The mask of the saliency model `center` for all, without memory of its own.

    foreground: bool (N, 1, H, W); a view of that shape.
    """
    height, width = foreground.shape[2:]
    return np.broadcast_to(centre_disc(height, width).numpy(), foreground.shape)
