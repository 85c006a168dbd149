"""A sweep inside nested balls: monotone, inside every budget, no weaker than attacks afresh, and cheaper."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dualperturb import L1, L2, Dual, Linf, UserError, pgd
from dualperturb.attacks.nested import nested_pgd
from dualperturb.core.balls import Ball
from dualperturb.core.pgd import clipped

Parts = Callable[..., tuple[nn.Module, Tensor, Tensor, Tensor]]
Scene = tuple[nn.Module, Tensor, Tensor, Tensor]
SETTINGS = {"steps": 8, "step_size": 0.3, "seed": 3}
COUNT = 24


@pytest.fixture
def scene(parts: Parts) -> Scene:
    """Labels are the classifier's own predictions, but for the last image, which it gets wrong."""
    model, images, _, foreground = parts(COUNT)
    labels = model(images).argmax(dim=1)
    labels[-1] = (labels[-1] + 1) % 3
    return model, images, labels, foreground


def rising(norm: str, foreground: Tensor) -> list[Ball]:
    if norm == "L2":
        return [Dual(L2(0.02), L2(radius), foreground) for radius in (0.02, 0.1, 0.3, 0.9)]
    return [Linf(radius) for radius in (0.001, 0.005, 0.02, 0.08)]


@pytest.mark.parametrize("norm", ["L2", "Linf"])
@pytest.mark.parametrize("restarts", [1, 3])
def test_every_result_is_judged_inside_its_ball_and_none_stands_up_again(
    scene: Scene, norm: str, restarts: int
) -> None:
    model, images, labels, foreground = scene
    balls = rising(norm, foreground)
    results = nested_pgd(model, images, labels, balls, restarts=restarts, **SETTINGS)
    before = torch.zeros(COUNT, dtype=torch.bool)
    for ball, result in zip(balls, results, strict=True):
        assert torch.equal(result.success, model(result.images).argmax(dim=1) != labels)
        assert (result.success | ~before).all()
        before = result.success
        assert result.images.min() >= 0 and result.images.max() <= 1
        delta = result.images - images
        torch.testing.assert_close(ball.project(delta), delta, rtol=1e-4, atol=1e-7)
        assert {name: norms.tolist() for name, norms in ball.norms(delta).items()} == {
            name: pytest.approx(norms.tolist(), rel=1e-4) for name, norms in result.norms.items()
        }
    counts = [int(result.success.sum()) for result in results]
    assert 1 <= counts[0] < counts[-1], f"the radii tell nothing apart: {counts}"
    assert torch.equal(results[-1].images[-1], images[-1]), "wrong as it is, so left as it is"


def test_balls_that_are_nested_otherwise(scene: Scene) -> None:
    """Two small ones in one, which lies in two large ones: what fools counts in all around it."""
    model, images, labels, foreground = scene
    radii = [(0.0, 0.3), (0.1, 0.1), (0.1, 0.3), (0.1, 0.9), (0.4, 0.3)]
    balls = [Dual(L2(inside), L2(outside), foreground) for inside, outside in radii]
    around = [[2], [2], [3, 4], [], []]
    results = nested_pgd(model, images, labels, balls, around=around, **SETTINGS)
    for place, (ball, result) in enumerate(zip(balls, results, strict=True)):
        assert torch.equal(result.success, model(result.images).argmax(dim=1) != labels)
        delta = result.images - images
        torch.testing.assert_close(ball.project(delta), delta, rtol=1e-4, atol=1e-7)
        for other in around[place]:
            assert (results[other].success | ~result.success).all()
    counts = [int(result.success.sum()) for result in results]
    assert min(counts) < counts[2] < max(counts), f"the radii tell nothing apart: {counts}"


def test_what_withstands_one_of_two_larger_balls_is_attacked_in_none_inside_both(scene: Scene) -> None:
    model, images, labels, foreground = scene
    balls = [Dual(L2(f), L2(b), foreground) for f, b in ((0.02, 0.3), (0.02, 0.9), (0.3, 0.3))]
    small, one, other = nested_pgd(model, images, labels, balls, around=[[1, 2], [], []], **SETTINGS)
    rows = one.success & ~other.success
    assert 1 <= rows.sum() < one.success.sum(), "the radii tell nothing apart"
    projected = clipped(images, balls[0].project(one.images - images)) + images
    torch.testing.assert_close(small.images[rows], projected[rows])


@pytest.mark.parametrize("around", [[[1]], [[1], [0]], [[2], []], [[0], []]])
def test_an_order_that_is_none(scene: Scene, around: list[list[int]]) -> None:
    model, images, labels, _ = scene
    line = r"^around: found \[\[.* for 2 balls; accepted: for each ball the positions of larger ones, which"
    with pytest.raises(UserError, match=line):
        nested_pgd(model, images, labels, [Linf(0.1), Linf(0.3)], around=around, **SETTINGS)


@pytest.mark.parametrize("norm", ["L2", "Linf"])
def test_it_fools_as_many_as_attacks_afresh_with_fewer_gradients(scene: Scene, norm: str) -> None:
    model, images, labels, foreground = scene
    balls = rising(norm, foreground)
    gradients = [0]

    def counted(pixels: Tensor) -> Tensor:
        gradients[0] += len(pixels) if pixels.requires_grad else 0
        logits: Tensor = model(pixels)
        return logits

    together = [int(r.success.sum()) for r in nested_pgd(counted, images, labels, balls, **SETTINGS)]
    nested, gradients[0] = gradients[0], 0
    afresh = [int(pgd(counted, images, labels, ball, **SETTINGS).success.sum()) for ball in balls]
    assert all(ours >= theirs for ours, theirs in zip(together, afresh, strict=True)), (together, afresh)
    assert gradients[0] == len(balls) * SETTINGS["steps"] * COUNT and nested < gradients[0] / 2


def test_an_image_that_withstood_a_ball_is_not_attacked_in_the_smaller_ones() -> None:
    """The first image is robust to all; the second falls in the larger ball alone."""
    seen: list[list[float]] = []

    def model(pixels: Tensor) -> Tensor:
        if pixels.requires_grad:
            seen.append(pixels.flatten().tolist())
        score = pixels.flatten(1)[:, 0] - 0.7
        return torch.stack([torch.zeros_like(score), score], dim=1)

    images, labels = torch.tensor([0.1, 0.5]).view(2, 1, 1, 1), torch.zeros(2, dtype=torch.int64)
    small, large = nested_pgd(model, images, labels, [Linf(0.1), Linf(0.3)], steps=6, step_size=1.0)
    assert small.success.tolist() == [False, False] and large.success.tolist() == [False, True]
    widths = [len(pixels) for pixels in seen]
    assert widths == sorted(widths, reverse=True) and widths[-6:] == [1] * 6
    assert all(abs(pixels[0] - 0.5) <= 0.1001 for pixels in seen[-6:])


def test_a_projection_that_fools_counts_in_the_larger_ball_too() -> None:
    """The attack in the large ball leaps over the pixels that fool; their projection lies among them."""

    def model(pixels: Tensor) -> Tensor:
        value = pixels.flatten(1)[:, 0]
        fools = (value > 0.55) & (value < 0.6)
        return torch.stack([torch.zeros_like(value), 1e-3 * value + torch.where(fools, 1.0, -1.0)], dim=1)

    image, label = torch.full((1, 1, 1, 1), 0.5), torch.zeros(1, dtype=torch.int64)
    settings = {"steps": 2, "step_size": 2.0, "seed": 0}
    assert not pgd(model, image, label, Linf(0.3), **settings).success.any()
    small, large = nested_pgd(model, image, label, [Linf(0.08), Linf(0.3)], **settings)
    assert small.success.all() and large.success.all()
    assert large.images.item() == small.images.item() == pytest.approx(0.58)


def test_batches_do_not_change_the_outcome(scene: Scene) -> None:
    model, images, labels, foreground = scene
    whole = nested_pgd(model, images, labels, rising("L2", foreground), restarts=2, **SETTINGS)
    parts = []
    for rows in (list(range(7)), list(range(7, COUNT))):
        balls = rising("L2", foreground[rows])
        parts.append(
            nested_pgd(model, images[rows], labels[rows], balls, restarts=2, indices=rows, **SETTINGS)
        )
    for result, first, second in zip(whole, *parts, strict=True):
        assert torch.equal(result.success, torch.cat([first.success, second.success]))


def test_the_callers_model_and_images_stay_as_they_are(
    scene: Scene,
) -> None:
    model, images, labels, foreground = scene
    kept, state = images.clone(), torch.get_rng_state()
    nested_pgd(model, images, labels, rising("Linf", foreground), **SETTINGS)
    assert torch.equal(images, kept) and torch.equal(torch.get_rng_state(), state)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


def test_masks_of_other_images_are_refused(scene: Scene) -> None:
    model, images, labels, foreground = scene
    with pytest.raises(UserError, match="^foreground: shape .* does not fit images"):
        nested_pgd(model, images, labels, rising("L2", foreground[:3]), **SETTINGS)


MASK = torch.arange(COUNT * 64).view(COUNT, 1, 8, 8) % 3 == 0
NOT_NESTED = {
    "falling radii": [L2(0.2), L2(0.1)],
    "falling radii of a third norm": [L1(0.2), L1(0.1)],
    "falling in the background": [Dual(L2(0.1), Linf(0.2), MASK), Dual(L2(0.1), Linf(0.1), MASK)],
    "falling in the foreground": [Dual(L2(0.2), L2(0.1), MASK), Dual(L2(0.1), L2(0.1), MASK)],
    "other masks": [Dual(L2(0.1), L2(0.2), MASK), Dual(L2(0.1), L2(0.2), ~MASK)],
    "one ball, no list": L2(0.1),
}


@pytest.mark.parametrize("balls", NOT_NESTED.values(), ids=NOT_NESTED.keys())
def test_balls_in_another_order_are_refused(scene: Scene, balls: list[Ball]) -> None:
    """An image that withstands the small one would never be attacked in the large one."""
    with pytest.raises(UserError, match=r"^balls: [^\n]*$"):
        nested_pgd(*scene[:3], balls, **SETTINGS)


def test_balls_that_around_does_not_nest_are_refused(scene: Scene) -> None:
    balls = [Linf(0.1), Linf(0.2), Linf(0.15)]
    nested_pgd(*scene[:3], balls, around=[[1, 2], [], []], **SETTINGS)
    with pytest.raises(UserError, match="^balls: found number 1 not inside number 2"):
        nested_pgd(*scene[:3], balls, around=[[1], [2], []], **SETTINGS)


@pytest.mark.parametrize("step_size", [0.0, -0.3, float("nan"), float("inf"), "0.3"])
def test_an_impossible_step_size_is_refused(scene: Scene, step_size: float) -> None:
    with pytest.raises(UserError, match=r"^step_size: .* got .*$"):
        nested_pgd(*scene[:3], [Linf(0.1)], steps=2, step_size=step_size)
