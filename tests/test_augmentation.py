from __future__ import annotations

import numpy as np
import pytest
import torch

from dualperturb.params.training import Augment
from dualperturb.training.augmentation import augment, draw_moves


def pictures(count: int = 40, side: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Images that hold their own mask: 200 in the foreground, 50 outside; no mask is its own mirror image."""
    generator = torch.Generator().manual_seed(0)
    foreground = torch.rand((count, 1, side, side), generator=generator) < 0.4
    images = torch.where(foreground, 200, 50).to(torch.uint8).expand(-1, 3, -1, -1)
    return images.contiguous(), foreground


def drawn(
    images: torch.Tensor, foreground: torch.Tensor, settings: Augment, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    moves = draw_moves(len(images), settings, np.random.default_rng(seed))
    return augment(images, foreground, settings, torch.from_numpy(moves))


def shifted(mask: np.ndarray, down: int, right: int, edge: bool) -> np.ndarray:
    """The window of the padded mask that starts `down` and `right` of the unshifted one."""
    wide = np.pad(mask, 3, mode="edge" if edge else "constant")
    return wide[3 + down : 3 + down + len(mask), 3 + right : 3 + right + len(mask)]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("pad", [0, 1, 3, 9])
def test_every_pixel_is_that_of_the_padded_image(pad: int, flip: bool) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (50, 3, 7, 5), dtype=np.uint8)
    foreground = random.random((50, 1, 7, 5)) < 0.5
    moves = draw_moves(50, Augment(pad=pad, flip=flip), random)
    moved, masks = augment(
        torch.from_numpy(images),
        torch.from_numpy(foreground),
        Augment(pad=pad, flip=flip),
        torch.from_numpy(moves),
    )
    for image, mask, found, own, (down, right, mirrored) in zip(
        images, foreground, moved.numpy(), masks.numpy(), moves.T, strict=True
    ):
        window = np.s_[:, down : down + 7, right : right + 5]
        step = np.s_[:, :, :: -1 if mirrored and flip else 1]
        around = ((0, 0), (pad, pad), (pad, pad))
        assert np.array_equal(found, np.pad(image, around, mode="edge")[window][step])
        assert np.array_equal(own, np.pad(mask, around)[window][step])


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("pad", [0, 3])
def test_image_and_mask_move_together_by_a_shift_and_a_mirror(pad: int, flip: bool) -> None:
    images, foreground = pictures()
    moved, masks = drawn(images, foreground, Augment(pad=pad, flip=flip), 5)
    assert moved.dtype == torch.uint8 and moved.shape == images.shape
    assert masks.dtype == torch.bool and masks.shape == foreground.shape
    found = []
    for before, image, mask in zip(foreground[:, 0].numpy(), moved.numpy(), masks[:, 0].numpy(), strict=True):
        moves = [
            (down, right, mirror)
            for down in range(-pad, pad + 1)
            for right in range(-pad, pad + 1)
            for mirror in ([1, -1] if flip else [1])
            if np.array_equal(shifted(before, down, right, edge=False)[:, ::mirror], mask)
        ]
        assert len(moves) == 1, "the mask is the old one, moved"
        ((down, right, mirror),) = moves
        expected = shifted(before, down, right, edge=True)[:, ::mirror]
        assert np.array_equal(image, np.broadcast_to(np.where(expected, 200, 50), image.shape))
        found.append(moves[0])
    assert {mirror for *_, mirror in found} == ({1, -1} if flip else {1})
    for axis in (0, 1):
        assert {move[axis] for move in found} == set(range(-pad, pad + 1)), (
            "every shift occurs, both ends too"
        )


def test_half_of_the_images_are_mirrored() -> None:
    images, foreground = pictures(count=400, side=4)
    images[:, 0] = torch.arange(4, dtype=torch.uint8)
    moved, _ = drawn(images, foreground, Augment(pad=0, flip=True), 0)
    assert 150 < int((moved[:, 0, 0, 0] == 3).sum()) < 250


def test_nothing_to_do_changes_nothing() -> None:
    images, foreground = pictures()
    moved, masks = drawn(images, foreground, Augment(pad=0, flip=False), 0)
    assert torch.equal(moved, images) and torch.equal(masks, foreground)


def test_the_generator_alone_decides() -> None:
    images, foreground = pictures()

    def once(seed: int) -> torch.Tensor:
        return drawn(images, foreground, Augment(pad=3, flip=True), seed)[0]

    assert torch.equal(once(1), once(1))
    assert not torch.equal(once(1), once(2))


def test_a_part_of_the_images_moves_as_among_all() -> None:
    images, foreground = pictures()
    settings = Augment(pad=3, flip=True)
    moves, part = torch.from_numpy(draw_moves(40, settings, np.random.default_rng(1))), slice(13, 27)
    whole = augment(images, foreground, settings, moves)
    own = augment(images[part], foreground[part], settings, moves[:, part])
    assert all(torch.equal(one, every[part]) for one, every in zip(own, whole, strict=True))


def test_the_images_given_stay_as_they_are() -> None:
    images, foreground = pictures()
    before = images.clone(), foreground.clone()
    drawn(images, foreground, Augment(pad=3, flip=True), 1)
    assert torch.equal(images, before[0]) and torch.equal(foreground, before[1])
