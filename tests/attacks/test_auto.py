"""Dual-AutoAttack: who fooled which image, and that each part sees only what the parts before it left."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from dualperturb import L2, Dual, Linf, UserError
from dualperturb.attacks.apgd import apgd
from dualperturb.attacks.auto import PARTS, auto_attack
from dualperturb.core.balls import Ball

Parts = Callable[..., tuple[nn.Module, Tensor, Tensor, Tensor]]


def logits(*columns: Tensor | float) -> Tensor:
    like = next(column for column in columns if isinstance(column, Tensor))
    return torch.stack([column + 0 * like for column in columns], dim=1)


def score(images: Tensor) -> Tensor:
    """(N,): a weighted sum of the pixels, 0 for a grey image."""
    weight = torch.linspace(-1, 1.3, images[0].numel()).to(images)
    return ((images.flatten(1) - 0.5) * weight).sum(dim=1)


def plain(images: Tensor) -> Tensor:
    return logits(0.4, score(images), -5, -6)


def too_sure(images: Tensor) -> Tensor:
    """Cross-entropy is 0 in float32, and so is its gradient; DLR knows no scale."""
    return 1000 * plain(images)


def decoy(images: Tensor) -> Tensor:
    """As sure, and the likeliest other class, which untargeted DLR looks at, wins nowhere."""
    return 1000 * logits(1, 0.9, 1.8 * score(images), -9)


def robust(images: Tensor) -> Tensor:
    return logits(9, score(images), -5, -6)


@pytest.mark.parametrize(
    ("model", "part"),
    [(plain, "apgd-ce"), (too_sure, "apgd-dlr"), (decoy, "apgd-t"), (robust, "none")],
)
def test_the_part_that_fooled_an_image_is_named(model: Callable[[Tensor], Tensor], part: str) -> None:
    images, foreground = (
        torch.full((3, 3, 2, 2), 0.5),
        torch.arange(4).view(1, 1, 2, 2).expand(3, 1, 2, 2) < 2,
    )
    ball = Dual(Linf(0.08), Linf(0.12), foreground)
    result = auto_attack(model, images, torch.tensor([0, 0, 1]), ball, steps=20)
    assert result.fooled_by == (part, part, "clean")
    assert result.success.tolist() == [part != "none", part != "none", True]
    assert torch.equal(result.images[2], images[2]) and not torch.equal(result.images[0], images[0])
    assert torch.equal(result.success, model(result.images).argmax(dim=1) != torch.tensor([0, 0, 1]))
    assert result.norms["foreground"].max() <= 0.08 + 1e-6 and result.norms["background"].max() <= 0.12 + 1e-6


def wavy(images: Tensor) -> Tensor:
    """No part fools all; image by image the same in every batch."""
    s = score(images)
    return logits(0.6, (9 * s).sin() + 0.1 * s, 1.2 * (23 * s).cos() - 0.5, (31 * s).sin() - 0.35)


def test_every_part_attacks_what_the_parts_before_it_left() -> None:
    images = torch.rand(60, 3, 6, 6, generator=torch.Generator().manual_seed(2))
    labels = wavy(images).argmax(dim=1)
    foreground = torch.rand(60, 1, 6, 6, generator=torch.Generator().manual_seed(3)) < 0.5
    settings = {"steps": 6, "targets": 2, "seed": 5}

    def ball(rows: list[int]) -> Ball:
        return Dual(L2(0.01), L2(0.03), foreground[rows])

    left, expected = list(range(60)), ["none"] * 60
    for part, loss in PARTS.items():
        found = apgd(wavy, images[left], labels[left], ball(left), loss=loss, indices=left, **settings)
        fooled = {row for row, success in zip(left, found.success.tolist(), strict=True) if success}
        expected = [part if row in fooled else name for row, name in enumerate(expected)]
        left = [row for row in left if row not in fooled]
    result = auto_attack(wavy, images, labels, ball(list(range(60))), **settings)
    assert list(result.fooled_by) == expected
    assert len(set(expected)) >= 3 and (~result.success).nonzero().flatten().tolist() == left

    rows = torch.randperm(60, generator=torch.Generator().manual_seed(0)).tolist()
    batches: Sequence[list[int]] = [rows[first : first + 7] for first in range(0, 60, 7)]
    for batch in batches:
        alone = auto_attack(wavy, images[batch], labels[batch], ball(batch), indices=batch, **settings)
        assert torch.equal(alone.images, result.images[batch])
        assert list(alone.fooled_by) == [expected[row] for row in batch]


def test_what_no_part_fools_is_the_first_part_s_best_try() -> None:
    images, labels = torch.full((2, 3, 4, 4), 0.5), torch.zeros(2, dtype=torch.int64)
    result = auto_attack(robust, images, labels, L2(0.3), steps=10)
    first = apgd(robust, images, labels, L2(0.3), steps=10)
    assert torch.equal(result.images, first.images) and not result.success.any()
    torch.testing.assert_close(result.norms["image"], torch.full((2,), 0.3))


@pytest.mark.parametrize("classes", [2, 3])
def test_two_and_three_classes(parts: Parts, classes: int) -> None:
    model, images, _, foreground = parts(20)
    few = nn.Sequential(model, nn.Linear(4, classes, bias=False))
    few[1].weight.data = torch.eye(classes, 4)
    labels = few(images).argmax(dim=1)
    result = auto_attack(few, images, labels, Dual(L2(0.02), L2(0.05), foreground), steps=10)
    assert 0 < int(result.success.sum()) < 20
    with pytest.raises(UserError, match="at least 2 classes"):
        auto_attack(lambda pixels: score(pixels)[:, None], images, torch.zeros(20).long(), L2(0.1))


def test_once_all_are_fooled_no_part_runs(parts: Parts) -> None:
    model, images, labels, _ = parts(6)
    sizes: list[int] = []

    def watched(pixels: Tensor) -> Tensor:
        sizes.append(len(pixels))
        return model(pixels)

    assert auto_attack(watched, images, labels, L2(5.0), steps=5).fooled_by == ("apgd-ce",) * 6
    assert 0 not in sizes
