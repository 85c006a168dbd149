"""One random stream per image: results do not depend on batch size, order or the number of processes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def image_seeds(seed: int, indices: Iterable[int], *salt: int) -> list[int]:
    """A 63-bit seed per image index, well mixed from `seed`, the index and `salt` (a restart, an epoch)."""
    return [
        int(np.random.SeedSequence([seed, int(index), *salt]).generate_state(1, np.uint64)[0] >> 1)
        for index in indices
    ]
