"""APGD: budgets, the optimum in each region, steps that adapt, and the same result for every batch size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dualperturb import L2, Dual, Linf, UserError, pgd
from dualperturb.attacks.apgd import apgd
from dualperturb.attacks.apgd.run import checkpoints
from dualperturb.attacks.losses import LOSSES
from dualperturb.core.losses import cross_entropy

Parts = Callable[..., tuple[nn.Module, Tensor, Tensor, Tensor]]
LOOKS = 2  # at a classifier that is new: whether it answers alike twice
Classifier = Callable[[Tensor], Tensor]


def weighted(images: Tensor) -> Tensor:
    """(N,): a weighted sum of the pixels; image by image the same in every batch."""
    weight = torch.linspace(-1, 1.3, images[0].numel()).to(images)
    return ((images.flatten(1) - 0.5) * weight).sum(dim=1)


def linear(images: Tensor) -> Tensor:
    """Logits (N, 4): class 0 leads near grey images, class 1 is the weighted sum, 2 and 3 never win."""
    score = weighted(images)
    return torch.stack([score * 0 + 0.4, score, score * 0 - 5, score * 0 - 6], dim=1)


def constant(images: Tensor) -> Tensor:
    return linear(images) * 0


def saturated(images: Tensor) -> Tensor:
    """Surer than float32 can tell from certain: cross-entropy's gradient is zero."""
    return linear(images) * 1e-3 + torch.tensor([200.0, 0.0, 0.0, 0.0]).to(images)


def masks(shape: Sequence[int], seed: int = 0) -> Tensor:
    return torch.rand(shape[0], 1, *shape[2:], generator=torch.Generator().manual_seed(seed)) < 0.4


@given(
    model=st.sampled_from([linear, constant, saturated]),
    kinds=st.tuples(st.sampled_from([L2, Linf]), st.sampled_from([L2, Linf])),
    radii=st.tuples(*[st.just(0.0) | st.floats(1e-3, 20.0)] * 2),
    shape=st.sampled_from([(2, 3, 1, 1), (3, 3, 2, 3), (4, 3, 6, 6)]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float64]),
    loss=st.sampled_from(sorted(LOSSES)),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=40)
def test_a_whole_run_stays_within_budgets_and_pixels(
    model: Classifier,
    kinds: tuple[type[L2 | Linf], type[L2 | Linf]],
    radii: tuple[float, float],
    shape: tuple[int, ...],
    dtype: torch.dtype,
    loss: str,
    seed: int,
) -> None:
    images = torch.rand(shape, generator=torch.Generator().manual_seed(seed)).round(decimals=1).to(dtype)
    ball = Dual(kinds[0](radii[0]), kinds[1](radii[1]), masks(shape, seed))
    labels = torch.zeros(shape[0], dtype=torch.int64)

    def watched(pixels: Tensor) -> Tensor:
        assert pixels.dtype == dtype and pixels.min() >= 0 and pixels.max() <= 1
        return model(pixels)

    result = apgd(watched, images, labels, ball, loss=loss, steps=5, restarts=2, seed=seed)

    assert result.images.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert result.images.isfinite().all() and result.images.min() >= 0 and result.images.max() <= 1
    delta = (result.images - images.to(result.images.dtype)).double()
    regions = (("foreground", ball.inside, ball.foreground), ("background", ball.outside, ~ball.foreground))
    for name, part, region in regions:
        flat = (delta * region).flatten(1)
        spent = flat.norm(dim=1) if isinstance(part, L2) else flat.abs().amax(dim=1)
        assert (spent <= part.radius * (1 + 1e-4)).all()
        torch.testing.assert_close(result.norms[name].double(), spent, rtol=1e-5, atol=1e-12)
    assert torch.equal(result.success, model(result.images.to(dtype)).argmax(dim=1) != labels)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("norm", [L2, Linf])
def test_a_linear_classifier_is_attacked_along_its_weights_in_each_region(
    norm: type[L2 | Linf], loss: str
) -> None:
    """Where no pixel is clipped and no image fooled, the optimum is known in closed form."""
    images, foreground = torch.full((2, 3, 4, 4), 0.5), masks((2, 3, 4, 4), 3)
    weight = torch.linspace(-1, 1.3, 48).view(1, 3, 4, 4)
    small, large = (0.02, 0.06) if norm is L2 else (0.002, 0.006)
    ball = Dual(norm(small), norm(large), foreground)
    result = apgd(linear, images, torch.zeros(2, dtype=torch.int64), ball, loss=loss, steps=100)
    expected = torch.zeros_like(images)
    for radius, region in ((small, foreground), (large, ~foreground)):
        part = weight * region
        length = part.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        expected += radius * (part / length if norm is L2 else part.sign())
    assert not result.success.any()
    torch.testing.assert_close(result.images - images, expected, atol=small / 100, rtol=0)


def test_steps_shrink_where_the_best_point_lies_inside_the_ball() -> None:
    """Steps of twice the radius jump over it for ever."""
    images, peak = torch.full((4, 3, 2, 2), 0.5), 0.5 + 0.05 * torch.linspace(-1, 1, 12).view(1, 3, 2, 2)

    def model(pixels: Tensor) -> Tensor:
        near = -10 * (pixels - peak).flatten(1).square().sum(dim=1)
        return torch.stack([near * 0 + 1, near], dim=1)

    result = apgd(model, images, torch.zeros(4, dtype=torch.int64), L2(0.5))
    assert (result.images - peak).flatten(1).norm(dim=1).max() < 5e-3
    assert ((images - peak).flatten(1).norm(dim=1) > 0.1).all()


def test_the_image_kept_is_the_best_that_was_met(parts: Parts) -> None:
    model, images, labels, foreground = parts(1)
    met: list[float] = []

    def watched(pixels: Tensor) -> Tensor:
        logits = model(pixels)
        met.append(float(cross_entropy(logits.detach(), labels)))
        return logits

    found = apgd(watched, images, labels, Dual(L2(0.01), L2(0.05), foreground), steps=40, restarts=2)
    assert not found.success.any() and len(met) == LOOKS + 1 + 2 * 41 + 1
    assert met[-1] == pytest.approx(max(met[1:-1]), rel=1e-5) and met[-1] > met[0]


def test_checkpoints_of_the_paper() -> None:
    """p = 0.22, 0.41, 0.57, 0.70, 0.80, 0.87, 0.93, 0.99 of the steps."""
    assert list(checkpoints(100)) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert list(checkpoints(100).values()) == [22, 19, 16, 13, 10, 7, 6, 6]
    assert checkpoints(1) == {1: 1} and max(checkpoints(7)) <= 7


def test_a_fooled_image_leaves_the_run(parts: Parts) -> None:
    model, images, labels, _ = parts(12)
    labels = torch.where(torch.arange(12) < 3, (labels + 1) % 4, labels)
    sizes: list[int] = []

    def watched(pixels: Tensor) -> Tensor:
        sizes.append(len(pixels))
        return model(pixels)

    result = apgd(watched, images, labels, Linf(0.01), steps=30)
    assert torch.equal(result.images[:3], images[:3]) and result.success[:3].all()
    assert 0 < int((~result.success).sum()) < 9
    sizes = sizes[LOOKS:]
    assert sizes[1] == 9 and sizes[-1] == 12
    assert sizes[1:-1] == sorted(sizes[1:-1], reverse=True)
    assert sizes[-2] >= int((~result.success).sum())


@pytest.mark.parametrize("loss", LOSSES)
def test_the_same_images_for_every_batch_size_and_order(loss: str) -> None:
    """Bit by bit, with a classifier whose own arithmetic does not depend on the batch."""
    images = torch.rand(32, 3, 6, 6, generator=torch.Generator().manual_seed(2))
    foreground = masks((32, 3, 6, 6), 2)

    def model(pixels: Tensor) -> Tensor:
        score = weighted(pixels)
        return torch.stack([score * 0, score - 1, (4 * score).sin(), (7 * score).cos()], dim=1)

    labels = model(images).argmax(dim=1)

    def attacked(order: Sequence[int]) -> tuple[Tensor, Tensor]:
        rows = list(order)
        ball = Dual(L2(0.02), L2(0.1), foreground[rows])
        result = apgd(
            model, images[rows], labels[rows], ball, loss=loss, steps=8, restarts=2, seed=9, indices=rows
        )
        return result.images, result.success

    whole, success = attacked(range(32))
    assert 0 < int(success.sum()) < 32
    for size in (1, 7):
        batches = [attacked(range(first, min(first + size, 32)))[0] for first in range(0, 32, size)]
        assert torch.equal(torch.cat(batches), whole)
    shuffled = torch.randperm(32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(attacked(shuffled.tolist())[0], whole[shuffled])


def test_targets_are_tried_from_the_likeliest_down() -> None:
    """The second class cannot win anywhere; the third can, but is no target of the first run."""

    def model(pixels: Tensor) -> Tensor:
        score = weighted(pixels)
        return torch.stack([score * 0 + 1, score * 0 + 0.9, 1.8 * score, score * 0 - 9], dim=1)

    images, labels = torch.full((3, 3, 2, 2), 0.5), torch.zeros(3, dtype=torch.int64)

    def success(targets: int) -> Tensor:
        return apgd(model, images, labels, Linf(0.1), loss="dlr-targeted", steps=10, targets=targets).success

    assert not success(1).any() and success(2).all() and success(99).all()


def test_no_weaker_than_pgd_with_as_many_steps(parts: Parts) -> None:
    model, images, labels, foreground = parts(64)
    ball = Dual(Linf(0.02), Linf(0.05), foreground)
    plain = pgd(model, images, labels, ball, steps=60, step_size=0.1).success
    ours = apgd(model, images, labels, ball, steps=60).success
    assert 5 < int(plain.sum()) < 60
    assert int(ours.sum()) >= int(plain.sum())


@pytest.mark.parametrize("training", [True, False])
def test_the_callers_things_are_left_as_they_were(parts: Parts, training: bool) -> None:
    model, images, labels, foreground = parts()
    model.train(training)
    model[1].eval()
    model[0].weight.requires_grad_(False)
    model[5].weight.grad = torch.full_like(model[5].weight, 7.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images.requires_grad_(True)
    pixels, stream = images.detach().clone(), torch.get_rng_state()

    result = apgd(model, images, labels, Dual(L2(0.1), L2(0.1), foreground), steps=3)

    assert torch.equal(torch.get_rng_state(), stream)
    assert model.training is training and not model[1].training
    assert not model[0].weight.requires_grad and model[5].weight.requires_grad
    assert (model[5].weight.grad == 7).all() and model[5].bias.grad is None
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert images.requires_grad and images.grad is None and torch.equal(images.detach(), pixels)
    assert not result.images.requires_grad


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"loss": "margin"}, "loss: found 'margin', accepted are ce, dlr, dlr-targeted"),
        ({"steps": 0}, "steps: expected a whole number of at least 1, got 0"),
        ({"restarts": 0}, "restarts: expected a whole number of at least 1, got 0"),
        ({"targets": 0}, "targets: expected a whole number of at least 1, got 0"),
        ({"seed": -1}, "seed: expected whole numbers from 0, got -1"),
        ({"indices": [0, 1]}, "indices: expected one for each of 3 images, got 2"),
        ({"indices": [0, 1, -2]}, "indices: expected whole numbers from 0, got -2"),
        ({"labels": torch.tensor([0, 1, 9])}, "at least 10 classes"),
        ({"labels": torch.tensor([0, 1, -1])}, "labels: expected classes from 0, got -1"),
        ({"labels": torch.zeros(3)}, r"labels: expected int64 \(3,\)"),
        ({"images": 255 * torch.ones(3, 3, 8, 8)}, r"images: expected pixels in \[0, 1\]"),
        ({"images": torch.zeros(3, 8, 8)}, r"images: expected float \(N, C, H, W\)"),
        ({"ball": Dual(L2(1), L2(1), masks((4, 3, 8, 8)))}, "foreground: shape .* does not fit images"),
        ({"model": lambda pixels: pixels.mean(dim=(1, 2, 3))}, r"the model gave \(3,\)"),
    ],
)
def test_a_mistake_is_told_in_one_line(parts: Parts, changed: dict[str, Any], message: str) -> None:
    model, images, labels, _ = parts(3)
    arguments: dict[str, Any] = {"model": model, "images": images, "labels": labels, "ball": L2(0.1)}
    with pytest.raises(UserError, match=message) as error:
        apgd(**(arguments | changed))
    assert "\n" not in str(error.value)


def test_no_images_at_all(parts: Parts) -> None:
    model, images, labels, _ = parts(3)
    assert apgd(model, images[:0], labels[:0], L2(0.1)).images.shape == (0, 3, 8, 8)


def test_it_takes_its_gradients_where_the_caller_takes_none(parts: Parts) -> None:
    model, images, labels, _ = parts(6)
    wanted = apgd(model, images, labels, L2(0.5), steps=3)
    with torch.no_grad():
        found = apgd(model, images, labels, L2(0.5), steps=3)
    assert torch.equal(found.images, wanted.images)
