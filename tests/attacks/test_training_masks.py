"""The masks that stand in for each image's own in training: at random places, or the centre's for all."""

from __future__ import annotations

import numpy as np
import pytest

from dualperturb.attacks.training_masks import at_random_places, in_the_center
from dualperturb.saliency.center import centre_disc


@pytest.fixture
def masks() -> np.ndarray:
    """60 bars of 2 x 3 pixels at the top left, in images of 8 x 10."""
    found = np.zeros((60, 1, 8, 10), np.bool_)
    found[:, 0, :2, :3] = True
    return found


def test_a_mask_keeps_its_shape_at_every_place_and_over_the_edges(masks: np.ndarray) -> None:
    before = masks.copy()
    found = at_random_places(masks, 1)
    assert np.array_equal(masks, before) and found.shape == masks.shape and found.dtype == np.bool_
    places = set()
    for mask in found[:, 0]:
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        assert (len(rows), len(columns)) == (2, 3) and mask.sum() == 6
        assert np.array_equal(mask, np.outer(mask.any(axis=1), mask.any(axis=0)))
        places.add((mask[-1].any() and mask[0].any(), mask[:, -1].any() and mask[:, 0].any()))
    assert places == {(False, False), (False, True), (True, False), (True, True)}
    assert len({mask.tobytes() for mask in found}) > 30


def test_places_are_those_of_the_seed(masks: np.ndarray) -> None:
    first, again, other = (at_random_places(masks, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_the_centres_mask_is_the_same_for_all_and_takes_no_memory(masks: np.ndarray) -> None:
    found = in_the_center(masks)
    assert found.shape == masks.shape and found.dtype == np.bool_
    assert (
        (found == centre_disc(8, 10).numpy()).all() and found[:, :, 4, 5].all() and not found[:, :, 0].all()
    )
    assert found.strides[0] == 0
