"""What an attack hands over: examples outside its threat model are an error, whatever made them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from dualperturb import L2, Dual, Linf, apgd, auto_attack, jsma, nested_pgd, pgd
from dualperturb.core.result import BrokenThreatModelError, checked_norms

STEPS = {"steps": 2, "step_size": 0.5}
LABELS = torch.zeros(3, dtype=torch.int64)


def bright(pixels: Tensor) -> Tensor:
    """Class 1 gains with the brightness and does not win."""
    score = pixels.flatten(1).mean(dim=1) - 5
    return torch.stack([torch.zeros_like(score), score], dim=1)


class Leaking(L2):
    """A ball that lets everything out."""

    def project(self, delta: Tensor) -> Tensor:
        return 3 * delta


@pytest.mark.parametrize(
    "attack",
    [
        lambda images, ball: pgd(bright, images, LABELS, ball, **STEPS),
        lambda images, ball: nested_pgd(bright, images, LABELS, [ball], **STEPS),
        lambda images, ball: apgd(bright, images, LABELS, ball, steps=2),
        lambda images, ball: auto_attack(bright, images, LABELS, ball, steps=2),
    ],
)
def test_a_norm_above_the_radius_is_no_result(attack: Any) -> None:
    with pytest.raises(
        BrokenThreatModelError, match=r"^attack: found pixels from 0.* to .*; image norms up to"
    ) as caught:
        attack(torch.full((3, 3, 4, 4), 0.3), Leaking(0.1))
    assert "expected at most 0.1" in str(caught.value) and "\n" not in str(caught.value)


IMAGES = torch.full((2, 3, 4, 4), 0.5)
MASK = torch.zeros(2, 1, 4, 4, dtype=torch.bool).index_fill(2, torch.tensor([0]), True)


@pytest.mark.parametrize("value", [1.0000002, -1e-7, torch.nan])
def test_pixels_are_held_to_their_range(value: float) -> None:
    found = IMAGES.clone()
    found[1, 0, 2, 2] = value
    with pytest.raises(BrokenThreatModelError, match="pixels from "):
        checked_norms(L2(10.0), IMAGES, found)


@pytest.mark.parametrize(
    "ball", [Linf(0.1), Dual(Linf(0.1), Linf(0.3), MASK), Dual(Linf(0.3), Linf(0.1), MASK)]
)
def test_each_region_has_its_own_radius(ball: Any) -> None:
    """0.1 is in both of them, 0.2 in the larger alone."""
    assert set(checked_norms(ball, IMAGES, IMAGES + 0.1)) == set(ball.radii)
    with pytest.raises(BrokenThreatModelError):
        checked_norms(ball, IMAGES, IMAGES + 0.2)


def test_a_sum_that_was_rounded_is_within_a_small_radius() -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for ball in (L2(1e-6), Linf(1e-8), L2(0.0)):
        delta = ball.start(images, [0, 1])
        norms = checked_norms(ball, images, (images + delta).clamp(0, 1))
        assert norms.keys() == ball.radii.keys()


@dataclass(frozen=True)
class Own:
    """A ball of somebody's own, with the verbs alone, or with radii, one an image."""

    inner: L2

    def __getattr__(self, verb: str) -> Any:
        if verb == "radii":
            raise AttributeError
        return getattr(self.inner, verb)


class OwnWithRadii(Own):
    @property
    def radii(self) -> dict[str, Tensor]:
        return {"image": torch.tensor([10.0, 0.1])}


def test_a_ball_without_radii_is_held_to_the_pixels_alone() -> None:
    found = IMAGES + 0.1  # an L2 norm of 0.69
    assert set(checked_norms(Own(L2(0.1)), IMAGES, found)) == {"image"}
    with pytest.raises(BrokenThreatModelError):
        checked_norms(Own(L2(0.1)), IMAGES, found + 0.5)
    with pytest.raises(BrokenThreatModelError):
        checked_norms(OwnWithRadii(L2(0.1)), IMAGES, found)


def test_jsma_counts_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dualperturb.attacks.jsma._step", lambda search, *_: (search.now + 0.4).clamp(0, 1))
    with pytest.raises(BrokenThreatModelError, match="^jsma: found pixels from .* at most 1$"):
        jsma(bright, torch.full((3, 3, 4, 4), 0.3), LABELS, max_share=0.1)
