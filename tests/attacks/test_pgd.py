"""The attack loop: budgets, the optimum, and the same result for every batch size and order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from dualperturb import L2, Dual, Linf, pgd
from dualperturb.core.budgets import NORMS
from dualperturb.core.norms import BALLS, NormBall
from dualperturb.core.regions import Radii, Regions

Parts = Callable[..., tuple[nn.Module, Tensor, Tensor, Tensor]]
Classifier = Callable[[Tensor], Tensor]


def linear(images: Tensor) -> Tensor:
    """Logits (N, 2), the second a weighted sum of the pixels; image by image the same in every batch."""
    weight = torch.linspace(-1, 1.3, images[0].numel()).to(images)
    score = (images.flatten(1) - 0.5) * weight
    return torch.stack([torch.zeros_like(score[:, 0]), score.sum(dim=1)], dim=1)


def constant(images: Tensor) -> Tensor:
    return linear(images) * 0


def saturated(images: Tensor) -> Tensor:
    """Surer than float32 can tell from certain: the gradient is zero."""
    return linear(images) * 1e-3 + torch.tensor([200.0, 0.0]).to(images)


@dataclass(frozen=True)
class Recording(L2):
    """An L2 ball that keeps the starts it gave."""

    starts: list[Tensor] = field(default_factory=list)

    def start(self, images: Tensor, seeds: Sequence[int]) -> Tensor:
        self.starts.append(super().start(images, seeds))
        return self.starts[-1]


def masks(kind: str, shape: tuple[int, ...], seed: int) -> Tensor:
    mask = torch.full((shape[0], 1, *shape[2:]), kind in ("full", "all but one"))
    if kind == "random":
        return torch.rand(mask.shape, generator=torch.Generator().manual_seed(seed)) < 0.4
    if "one" in kind:
        mask[..., -1, -1] ^= True
    return mask


def region_norm(part: NormBall, delta: Tensor) -> Tensor:
    return delta.double().flatten(1).norm(p=NORMS[type(part).__name__].order, dim=1)


@given(
    model=st.sampled_from([linear, constant, saturated]),
    kinds=st.tuples(*[st.sampled_from(list(BALLS.values()))] * 2),
    radii=st.tuples(*[st.just(0.0) | st.floats(1e-3, 20.0)] * 2),
    kind=st.sampled_from(["random", "empty", "full", "one", "all but one"]),
    shape=st.sampled_from([(2, 3, 1, 1), (1, 1, 1, 1), (3, 3, 2, 3), (2, 3, 8, 8)]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float64]),
    step_size=st.floats(0.05, 2.5),
    seed=st.integers(0, 2**31),
)
def test_a_whole_run_stays_within_budgets_and_pixels(
    model: Classifier,
    kinds: tuple[type[NormBall], type[NormBall]],
    radii: tuple[float, float],
    kind: str,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    step_size: float,
    seed: int,
) -> None:
    images = torch.rand(shape, generator=torch.Generator().manual_seed(seed)).round(decimals=1).to(dtype)
    ball = Dual(kinds[0](radii[0]), kinds[1](radii[1]), masks(kind, shape, seed))
    labels = torch.zeros(shape[0], dtype=torch.int64)

    def watched(pixels: Tensor) -> Tensor:
        assert pixels.dtype == dtype and pixels.min() >= 0 and pixels.max() <= 1
        return model(pixels)

    result = pgd(watched, images, labels, ball, steps=4, step_size=step_size, restarts=2, seed=seed)

    assert result.images.isfinite().all()
    assert result.images.min() >= 0 and result.images.max() <= 1
    assert result.images.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    delta = result.images - images.to(result.images.dtype)
    regions = (("foreground", ball.inside, ball.foreground), ("background", ball.outside, ~ball.foreground))
    for name, part, region in regions:
        spent = region_norm(part, delta * region)
        assert (spent <= part.radius * (1 + 1e-4)).all()
        torch.testing.assert_close(result.norms[name].double(), spent, rtol=1e-5, atol=1e-12)
    assert torch.equal(result.success, model(result.images.to(dtype)).argmax(dim=1) != labels)


@pytest.mark.parametrize("norm", [L2, Linf])
def test_a_linear_classifier_is_attacked_along_its_weights_in_each_region(norm: type[L2 | Linf]) -> None:
    """Where no pixel is clipped the optimum is known in closed form."""
    images, foreground = torch.full((2, 3, 4, 4), 0.5), masks("random", (2, 3, 4, 4), 3)
    weight = torch.linspace(-1, 1.3, 48).view(1, 3, 4, 4)
    ball = Dual(norm(0.1), norm(0.4), foreground)
    labels = torch.zeros(2, dtype=torch.int64)
    result = pgd(linear, images, labels, ball, steps=30, step_size=0.5)
    expected = torch.zeros_like(images)
    for radius, region in ((0.1, foreground), (0.4, ~foreground)):
        part = weight * region
        length = part.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        expected += radius * (part / length if norm is L2 else part.sign())
    torch.testing.assert_close(result.images - images, expected, atol=1e-5, rtol=0)
    assert result.success.all()


def test_one_step_moves_by_its_share_of_each_radius() -> None:
    @dataclass(frozen=True)
    class FromZero(L2):
        @staticmethod
        def place(drawn: Tensor, radii: Radii, regions: Regions = ()) -> Tensor:
            return torch.zeros_like(drawn)

    images, foreground = torch.full((3, 3, 4, 4), 0.5), masks("random", (3, 3, 4, 4), 0)
    ball = Dual(FromZero(0.5), FromZero(2.0), foreground)
    norms = pgd(linear, images, torch.zeros(3, dtype=torch.int64), ball, steps=1, step_size=0.25).norms
    torch.testing.assert_close(norms["foreground"], torch.full((3,), 0.125))
    torch.testing.assert_close(norms["background"], torch.full((3,), 0.5))


def test_dual_with_equal_linf_budgets_is_pgd_to_the_bit(parts: Parts) -> None:
    model, images, labels, foreground = parts()
    settings_of_both = {"steps": 7, "step_size": 0.2, "restarts": 2, "seed": 4}
    plain = pgd(model, images, labels, Linf(0.05), **settings_of_both)
    dual = pgd(model, images, labels, Dual(Linf(0.05), Linf(0.05), foreground), **settings_of_both)
    assert torch.equal(plain.images, dual.images) and torch.equal(plain.success, dual.success)
    assert torch.equal(
        plain.norms["image"], torch.maximum(dual.norms["foreground"], dual.norms["background"])
    )
    assert not torch.equal(plain.images, images)


@pytest.mark.parametrize("norm", [L2, Linf])
def test_the_same_images_for_every_batch_size_and_order(norm: type[L2 | Linf]) -> None:
    """Bit by bit, with a classifier whose own arithmetic does not depend on the batch."""
    images = torch.rand(64, 3, 6, 6, generator=torch.Generator().manual_seed(2))
    foreground, labels = masks("random", (64, 3, 6, 6), 2), torch.arange(64) % 2

    def attacked(order: Sequence[int]) -> Tensor:
        rows = list(order)
        ball = Dual(norm(0.05), norm(0.3), foreground[rows])
        return pgd(
            linear, images[rows], labels[rows], ball, steps=3, step_size=0.3, restarts=2, seed=9, indices=rows
        ).images

    whole = attacked(range(64))
    for size in (1, 7):
        batches = [attacked(range(first, min(first + size, 64))) for first in range(0, 64, size)]
        assert torch.equal(torch.cat(batches), whole)
    shuffled = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(attacked(shuffled.tolist()), whole[shuffled])


def test_batch_size_and_order_with_convolutions(parts: Parts) -> None:
    """Starts to the bit; a convolution may round differently in another batch."""
    model, images, labels, _ = parts(64)

    def attacked(rows: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        ball = Recording(1.0)
        result = pgd(model, images[rows], labels[rows], ball, steps=5, step_size=0.25, indices=rows)
        return ball.starts[0], result.images, result.success

    whole = attacked(list(range(64)))
    reverse = list(range(63, -1, -1))
    for size in (1, 7, 64):
        batches = [attacked(reverse[first : first + size]) for first in range(0, 64, size)]
        starts, found, success = (torch.cat(column).flip(0) for column in zip(*batches, strict=True))
        assert torch.equal(starts, whole[0])
        torch.testing.assert_close(found, whole[1], atol=1e-5, rtol=0)
        assert torch.equal(success, whole[2])


def test_a_classifier_in_bfloat16(parts: Parts) -> None:
    """It sees bfloat16, the perturbation is kept in float32, and success is what it says of its own input."""
    model, images, _, foreground = parts()
    model, images = model.bfloat16(), images.bfloat16()
    labels = model(images).argmax(dim=1)
    result = pgd(model, images, labels, Dual(L2(0.3), L2(2.0), foreground), steps=10, step_size=0.2)
    assert result.images.dtype == torch.float32
    assert (result.norms["foreground"] <= 0.3 * (1 + 1e-4)).all()
    assert (result.norms["background"] <= 2.0 * (1 + 1e-4)).all()
    assert torch.equal(result.success, model(result.images.bfloat16()).argmax(dim=1) != labels)
    assert result.success.any()
