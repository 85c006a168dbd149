"""Seeds of the images' random streams."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dualperturb.core.seeds import image_seeds

WHOLE = st.integers(0, 2**32 - 1)


@given(WHOLE, st.lists(WHOLE, min_size=1, max_size=8), WHOLE)
def test_a_seed_depends_on_its_own_index_alone(seed: int, indices: list[int], restart: int) -> None:
    alone = [image_seeds(seed, [index], restart)[0] for index in indices]
    assert image_seeds(seed, indices, restart) == alone
    assert image_seeds(seed, indices[::-1], restart) == alone[::-1]
    assert all(0 <= value < 2**63 for value in alone)


def test_neighbouring_seeds_indices_and_restarts_share_nothing() -> None:
    found = [
        value
        for seed in range(10)
        for restart in range(5)
        for value in image_seeds(seed, range(200), restart)
    ]
    assert len(set(found)) == 10 * 5 * 200


def test_the_low_half_differs_too() -> None:
    """torch's CPU generator takes only the low 32 bits of a seed."""
    low = [value & 0xFFFFFFFF for value in image_seeds(0, range(2000), 0)]
    assert len(set(low)) == 2000


def test_any_kind_of_whole_number_will_do() -> None:
    assert image_seeds(1, np.arange(3), 2) == image_seeds(1, range(3), 2)


def test_seeds_stay_what_they_were() -> None:
    """Published numbers rest on these streams."""
    assert image_seeds(0, [0, 1], 0) == [7896617691693857887, 2918264622725855778]
