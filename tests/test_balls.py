"""Balls: no verb ever leaves the budget of a region, and the starts have the distribution they claim."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor

import dualperturb
from dualperturb import L1, L2, Dual, Linf, UserError
from dualperturb.core.balls import Ball, boxed
from dualperturb.core.budgets import NORMS
from dualperturb.core.norms import BALLS, LARGEST_RADIUS, NormBall
from dualperturb.core.regions import l2_norm, linf_norm
from dualperturb.core.seeds import image_seeds

DTYPES = st.sampled_from([torch.float32, torch.bfloat16, torch.float64])
NORM = st.sampled_from(list(BALLS.values()))
# Below 1e-3 the rounding of pixels near 1 in float32 (6e-8) is no longer small beside the budget.
RADIUS = st.one_of(st.just(0.0), st.floats(1e-3, 1e3))
SHARE = st.floats(0.01, 3.0)
MASK_KINDS = st.sampled_from(["random", "empty", "full", "one pixel", "all but one"])


def mask_of(kind: str, count: int, height: int, width: int, random: torch.Generator) -> Tensor:
    if kind == "random":
        return torch.rand(count, 1, height, width, generator=random) < 0.4
    mask = torch.full((count, 1, height, width), kind in ("full", "all but one"))
    if kind in ("one pixel", "all but one"):
        mask[:, :, height // 2, width // 2] ^= True
    return mask


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Dual, Tensor, Tensor]:
    """A dual ball, images and a wild perturbation, which may be zero in whole images."""
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    shape = (
        draw(st.integers(1, 3)),
        draw(st.sampled_from([1, 3])),
        *draw(st.sampled_from([(1, 1), (2, 3), (8, 8)])),
    )
    dtype = draw(DTYPES)
    mask = mask_of(draw(MASK_KINDS), shape[0], *shape[2:], random)
    ball = Dual(draw(NORM)(draw(RADIUS)), draw(NORM)(draw(RADIUS)), mask)
    wild = torch.randn(shape, generator=random) * 10.0 ** draw(st.integers(-30, 5))
    wild[draw(st.integers(0, shape[0]) | st.just(shape[0])) :] = 0
    return ball, torch.rand(shape, generator=random).to(dtype), wild.to(dtype)


def order(part: NormBall) -> float:
    return NORMS[type(part).__name__].order


def spent(ball: Dual, delta: Tensor) -> list[tuple[Tensor, float]]:
    """(norm of every image, budget) of both regions, computed in float64 without the ball's help."""
    wide = delta.double()
    regions = ((ball.inside, ball.foreground), (ball.outside, ~ball.foreground))
    return [
        (torch.linalg.vector_norm((wide * region).flatten(1), ord=order(part), dim=1), part.radius)
        for part, region in regions
    ]


def assert_within(ball: Dual, delta: Tensor) -> None:
    assert delta.isfinite().all()
    for norm, budget in spent(ball, delta):
        assert (norm <= budget * (1 + 1e-4)).all(), f"{norm.tolist()} of {budget}"


@given(scenes(), st.integers(0, 2**62))
def test_start_is_inside_both_budgets(scene: tuple[Dual, Tensor, Tensor], seed: int) -> None:
    ball, images, _ = scene
    start = ball.start(images, range(seed, seed + len(images)))
    assert start.shape == images.shape
    assert_within(ball, start)


@given(scenes())
def test_project_is_inside_both_budgets_and_idempotent(scene: tuple[Dual, Tensor, Tensor]) -> None:
    ball, _, wild = scene
    once = ball.project(wild)
    assert once.dtype == wild.dtype
    assert_within(ball, once)
    torch.testing.assert_close(ball.project(once), once, rtol=1e-6, atol=0)


@given(scenes())
def test_project_leaves_alone_what_is_inside(scene: tuple[Dual, Tensor, Tensor]) -> None:
    ball, _, wild = scene
    small = ball.project(wild) / 2
    assert torch.equal(ball.project(small), small)


@given(scenes(), st.integers(-6, 5))
def test_project_is_the_nearest_point(scene: tuple[Dual, Tensor, Tensor], power: int) -> None:
    """Variational inequality: no point of the ball lies on the far side of the projection."""
    ball, images, wild = scene
    wild = (wild / wild.abs().amax().clamp_min(1e-30)).double() * 10.0**power
    nearest = ball.project(wild)
    other = ball.start(images.double(), range(len(images)))
    obtuse = ((wild - nearest) * (other - nearest)).flatten(1).sum(1)
    slack = 1e-9 * (1 + wild.flatten(1).norm(dim=1)) * (1 + other.flatten(1).norm(dim=1))
    assert (obtuse <= slack).all()


@given(scenes(), SHARE)
def test_ascend_moves_each_region_by_its_share(scene: tuple[Dual, Tensor, Tensor], share: float) -> None:
    """Also where the gradient is 1e-30, and not at all where it is zero."""
    ball, _, gradient = scene
    step = ball.ascend(gradient, share)
    assert step.isfinite().all()
    # A step in bfloat16 has 8 significant bits.
    precision = 1e-5 if gradient.dtype != torch.bfloat16 else 2**-8
    regions = ((ball.inside, ball.foreground), (ball.outside, ~ball.foreground))
    for (norm, budget), (part, region) in zip(spent(ball, step), regions, strict=True):
        moves = (gradient * region != 0).flatten(1).sum(1)
        expected = torch.where(moves > 0, share * budget, 0.0).double()
        if isinstance(part, L1):  # no value moves further than pixels can
            expected = expected.minimum(moves)
        torch.testing.assert_close(norm, expected, rtol=precision, atol=0)


@given(scenes(), SHARE)
def test_ascend_climbs_as_steeply_as_any_step_of_its_length(
    scene: tuple[Dual, Tensor, Tensor], share: float
) -> None:
    ball, _, gradient = scene
    gradient = (gradient / gradient.abs().amax().clamp_min(1e-30)).double()
    step = ball.ascend(gradient, share)
    for part, region in ((ball.inside, ball.foreground), (ball.outside, ~ball.foreground)):
        here = (gradient * region).flatten(1)
        length = share * part.radius
        if isinstance(part, L1):  # of steps that move no value by more than 1
            moves = (length - torch.arange(here.shape[1])).clamp(0, 1)
            steepest = (here.abs().sort(dim=1, descending=True).values * moves).sum(1)
        else:
            steepest = length * here.norm(p=1 / (1 - 1 / order(part)), dim=1)  # Hoelder's bound
        torch.testing.assert_close(((step * region).flatten(1) * here).sum(1), steepest)


@pytest.mark.parametrize("norm", BALLS.values())
@pytest.mark.parametrize("gradient", [1e-30, 1e-40, 1e30])
def test_ascend_of_extreme_gradients(norm: type[NormBall], gradient: float) -> None:
    step = norm(2.0).ascend(torch.full((1, 3, 4, 4), gradient), 0.5)
    assert norm(2.0).norms(step)["image"].item() == pytest.approx(1.0, rel=1e-6)


@given(scenes())
def test_a_step_does_not_depend_on_what_else_is_in_the_batch(scene: tuple[Dual, Tensor, Tensor]) -> None:
    """A vanishing gradient beside it has the whole batch scaled before it is squared: to the same bits."""
    ball, _, gradient = scene
    gradient = (gradient / gradient.abs().amax().clamp_min(1e-30)).to(gradient.dtype)
    both = torch.cat([gradient, gradient * 1e-25])
    twice = Dual(ball.inside, ball.outside, ball.foreground.repeat(2, 1, 1, 1))
    for alone, among in ((ball, twice), (L1(1.0), L1(1.0)), (L2(1.0), L2(1.0))):
        assert torch.equal(among.ascend(both, 0.5)[: len(gradient)], alone.ascend(gradient, 0.5))


def test_a_small_gradient_in_one_region_still_gets_its_full_step() -> None:
    foreground = torch.zeros(1, 1, 2, 2, dtype=torch.bool)
    foreground[..., 0, 0] = True
    gradient = torch.where(foreground, 1e-6, 1e6).expand(1, 3, 2, 2)
    norms = Dual(L2(1.0), L2(5.0), foreground).norms(Dual(L2(1.0), L2(5.0), foreground).ascend(gradient, 0.1))
    assert norms["foreground"].item() == pytest.approx(0.1) and norms["background"].item() == pytest.approx(
        0.5
    )


@given(scenes())
def test_norms_are_those_of_the_regions(scene: tuple[Dual, Tensor, Tensor]) -> None:
    ball, _, wild = scene
    wild = (wild / wild.abs().amax().clamp_min(1e-30)).to(wild.dtype)
    norms = ball.norms(wild)
    assert list(norms) == ["foreground", "background"]
    for value, (expected, _) in zip(norms.values(), spent(ball, wild), strict=True):
        assert value.dtype in (torch.float32, torch.float64)
        torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("name", NORMS)
def test_every_norm_of_the_table_has_its_ball_in_public(name: str) -> None:
    """Which measures as the table's order says, by which finished examples are judged."""
    assert getattr(dualperturb, name) is BALLS[name] and list(BALLS) == list(NORMS)
    delta = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    expected = torch.linalg.vector_norm(delta.flatten(1), ord=NORMS[name].order, dim=1)
    torch.testing.assert_close(BALLS[name](1.0).norms(delta)["image"], expected)


@given(scenes(), SHARE)
@settings(max_examples=30)
def test_a_full_mask_is_the_plain_ball_and_an_empty_one_its_mirror(
    scene: tuple[Dual, Tensor, Tensor], share: float
) -> None:
    ball, images, wild = scene
    full = torch.ones_like(ball.foreground)
    plain, other, seeds = ball.inside, ball.outside, range(len(images))
    # An L2 norm is summed in another order.
    rounding = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2**-7}[wild.dtype]
    for dual in (Dual(plain, other, full), Dual(other, plain, ~full)):
        for own, expected in (
            (dual.start(images, seeds), plain.start(images, seeds)),
            (dual.ascend(wild, share), plain.ascend(wild, share)),
            (dual.project(wild), plain.project(wild)),
        ):
            torch.testing.assert_close(own, expected, rtol=rounding, atol=0, check_dtype=False)


# The starts' distribution. Seeds are fixed, so these tests either always pass or always fail.


def lengths(ball: Ball, channels: int, side: int, count: int = 4000) -> dict[str, np.ndarray]:
    start = ball.start(torch.zeros(count, channels, side, side), image_seeds(3, range(count)))
    return {region: norm.double().numpy() for region, norm in ball.norms(start).items()}


@pytest.mark.parametrize(("channels", "side"), [(1, 1), (2, 1), (3, 1), (3, 2), (3, 16)])
def test_l2_start_has_the_radius_distribution_of_the_uniform_ball(channels: int, side: int) -> None:
    """U^(1/d): the d-th power of length over radius is uniform."""
    powers = (lengths(L2(2.5), channels, side)["image"] / 2.5) ** (channels * side**2)
    assert stats.kstest(powers, "uniform").pvalue > 0.01


def test_l2_start_has_no_preferred_direction() -> None:
    start = L2(1.0).start(torch.zeros(4000, 2, 1, 1), image_seeds(5, range(4000))).flatten(1).double().numpy()
    angle = np.arctan2(start[:, 0], start[:, 1]) / (2 * np.pi) + 0.5
    assert stats.kstest(angle, "uniform").pvalue > 0.01


def test_l2_starts_of_the_regions_are_uniform_in_their_own_balls_and_independent() -> None:
    """One foreground pixel (d = 3) and two background pixels (d = 6)."""
    foreground = torch.tensor([True, False, False]).view(1, 1, 1, 3).expand(4000, 1, 1, 3)
    ball = Dual(L2(2.0), L2(20.0), foreground)
    start = ball.start(torch.zeros(4000, 3, 1, 3), image_seeds(7, range(4000)))
    norms = {region: norm.double().numpy() for region, norm in ball.norms(start).items()}
    inside, outside = (norms["foreground"] / 2) ** 3, (norms["background"] / 20) ** 6
    assert stats.kstest(inside, "uniform").pvalue > 0.01
    assert stats.kstest(outside, "uniform").pvalue > 0.01
    assert stats.spearmanr(inside, outside).pvalue > 0.01
    directions = start[:, 0, 0, :].sign().mean(0), (start[:, 0, 0, 0] * start[:, 0, 0, 1]).sign().mean()
    assert all(value.abs().max() < 0.06 for value in directions)


@pytest.mark.parametrize(("channels", "side"), [(1, 1), (3, 1), (3, 16)])
def test_l1_start_has_the_radius_distribution_of_the_uniform_ball(channels: int, side: int) -> None:
    powers = (lengths(L1(2.5), channels, side)["image"] / 2.5) ** (channels * side**2)
    assert stats.kstest(powers, "uniform").pvalue > 0.01


def test_l1_start_is_uniform_in_the_square_that_the_ball_is_in_two_dimensions() -> None:
    """Turned by 45 degrees: two independent uniform coordinates."""
    start = L1(1.0).start(torch.zeros(4000, 2, 1, 1), image_seeds(5, range(4000))).flatten(1).double().numpy()
    turned = start[:, 0] + start[:, 1], start[:, 0] - start[:, 1]
    for one in turned:
        assert stats.kstest(one, "uniform", args=(-1, 2)).pvalue > 0.01
    assert stats.spearmanr(*turned).pvalue > 0.01


def test_l1_starts_of_the_regions_are_uniform_in_their_own_balls() -> None:
    foreground = torch.tensor([True, False, False]).view(1, 1, 1, 3).expand(4000, 1, 1, 3)
    ball = Dual(L1(2.0), L1(20.0), foreground)
    norms = ball.norms(ball.start(torch.zeros(4000, 3, 1, 3), image_seeds(7, range(4000))))
    for region, radius, size in (("foreground", 2.0, 3), ("background", 20.0, 6)):
        powers = (norms[region].double().numpy() / radius) ** size
        assert stats.kstest(powers, "uniform").pvalue > 0.01


# L1 in the box of all images, as Croce & Hein 2021 have it.


@given(scenes(), st.integers(-6, 3))
def test_l1_projects_on_ball_and_box_together(scene: tuple[Dual, Tensor, Tensor], power: int) -> None:
    """To a point of both, on whose far side none of theirs lies."""
    ball, images, wild = scene
    images, mask = images.double(), ball.foreground
    wild = (wild / wild.abs().amax().clamp_min(1e-30)).double() * 10.0**power
    l1 = Dual(L1(ball.inside.radius), L1(ball.outside.radius), mask)
    nearest = boxed(l1, images, images).project(wild)
    assert_within(l1, nearest)
    assert (images + nearest).min() >= -1e-12 and (images + nearest).max() <= 1 + 1e-12
    other = (images + l1.start(images, range(len(images)))).clamp(0, 1) - images
    obtuse = ((wild - nearest) * (other - nearest)).flatten(1).sum(1)
    assert (obtuse <= 1e-9 * (1 + wild.flatten(1).norm(dim=1)) * (1 + other.flatten(1).norm(dim=1))).all()


def test_l1_steps_by_the_largest_gradients_as_far_as_their_pixels_can_move() -> None:
    images = torch.tensor([0.9, 0.5, 0.0, 0.2]).view(1, 1, 1, 4)
    gradient = torch.tensor([4.0, -3.0, -2.0, 1.0]).view(1, 1, 1, 4)
    step = boxed(L1(2.0), images, images).ascend(gradient, 0.5).flatten()
    torch.testing.assert_close(step, torch.tensor([0.1, -0.5, 0.0, 0.4]))
    # Without the box: as far as any pixel can.
    assert L1(3.0).ascend(gradient, 0.5).flatten().tolist() == [1.0, -0.5, 0.0, 0.0]


def test_linf_start_is_uniform_in_the_cube() -> None:
    start = (
        Linf(0.3).start(torch.zeros(2000, 2, 1, 1), image_seeds(9, range(2000))).flatten(1).double().numpy()
    )
    for column in start.T:
        assert stats.kstest(column, "uniform", args=(-0.3, 0.6)).pvalue > 0.01
    assert stats.spearmanr(start[:, 0], start[:, 1]).pvalue > 0.01


def test_linf_starts_of_the_regions_fill_their_own_cubes() -> None:
    foreground = torch.tensor([True, False]).view(1, 1, 1, 2).expand(2000, 1, 1, 2)
    start = Dual(Linf(0.1), Linf(0.5), foreground).start(
        torch.zeros(2000, 1, 1, 2), image_seeds(1, range(2000))
    )
    for column, radius in zip(start.flatten(1).double().numpy().T, (0.1, 0.5), strict=True):
        assert stats.kstest(column, "uniform", args=(-radius, 2 * radius)).pvalue > 0.01


@pytest.mark.parametrize("norm", BALLS.values())
def test_a_start_belongs_to_its_seed_alone(norm: type[NormBall]) -> None:
    images, seeds = torch.rand(5, 3, 4, 4), [11, 12, 13, 14, 15]
    whole = norm(1.0).start(images, seeds)
    assert torch.equal(norm(1.0).start(images[:2], [14, 12]), whole[[3, 1]])
    assert len({tuple(row.flatten().tolist()) for row in whole}) == 5


def test_radius_zero_allows_nothing() -> None:
    wild = torch.randn(2, 3, 4, 4)
    for ball in (L1(0.0), L2(0.0), Linf(0.0), Dual(L2(0.0), Linf(0.0), torch.rand(2, 1, 4, 4) > 0.5)):
        for delta in (ball.start(wild, [1, 2]), ball.ascend(wild, 1.0), ball.project(wild)):
            assert not delta.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_radius_that_a_narrow_type_would_round_up(dtype: torch.dtype) -> None:
    """8/255 becomes 8.03/255 in bfloat16."""
    ones = torch.ones(1, 3, 4, 4, dtype=dtype)
    for radius in (8 / 255, 2 / 255, 0.1, 0.7):
        spent = Linf(radius).project(ones).double().max()
        assert radius * 0.99 < spent <= radius
        assert L2(radius).project(ones).double().norm() <= radius
        assert L1(radius).project(ones).double().sum() <= radius


def test_bfloat16_norms_are_summed_in_float32() -> None:
    """In bfloat16 a sum of ones sticks at 256."""
    ones = torch.ones(1, 1, 64, 64, dtype=torch.bfloat16)
    assert l2_norm(ones).item() == 64.0 and linf_norm(ones).dtype == torch.float32


@pytest.mark.parametrize("norm", BALLS.values())
def test_a_radius_may_come_in_a_tensor_of_one_value(norm: type[NormBall]) -> None:
    delta = torch.ones(2, 3, 4, 4)
    assert torch.equal(norm(torch.tensor(0.5)).project(delta), norm(0.5).project(delta))
    with pytest.raises(UserError, match="^radius"):
        norm(torch.tensor([0.5, 0.5]))


@pytest.mark.parametrize("radius", [-1.0, -1e-9, float("nan"), float("inf"), 1.1e6, "1", None])
@pytest.mark.parametrize("norm", BALLS.values())
def test_an_impossible_radius_is_refused(norm: type[NormBall], radius: float) -> None:
    with pytest.raises(UserError, match=r"^radius: .* got .*$") as caught:
        norm(radius)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "mask",
    [
        torch.ones(2, 1, 4, 4),
        torch.ones(2, 1, 4, 4, dtype=torch.uint8),
        torch.ones(2, 3, 4, 4, dtype=torch.bool),
        torch.ones(2, 4, 4, dtype=torch.bool),
        np.ones((2, 1, 4, 4), dtype=bool),
        [[True]],
        None,
    ],
)
def test_a_mask_of_another_kind_is_refused(mask: object) -> None:
    with pytest.raises(
        UserError, match=r"^foreground: expected a bool tensor \(N, 1, H, W\), got .*$"
    ) as caught:
        Dual(L2(1.0), L2(1.0), mask)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("radii", [(0.5, L2(2.0)), (Linf(0.5), 2), (L2, L2(2.0))])
def test_a_radius_is_no_ball_of_a_region(radii: tuple[Any, Any]) -> None:
    accepted = r"L2\(radius\), Linf\(radius\).* or \w+\(radius\)"
    with pytest.raises(UserError, match=f"^(inside|outside): expected {accepted}, got "):
        Dual(*radii, torch.ones(2, 1, 4, 4, dtype=torch.bool))


@pytest.mark.parametrize("norm", BALLS.values())
@pytest.mark.parametrize("foreground", [True, False])
def test_the_largest_radius_makes_numbers_where_a_region_is_empty(
    norm: type[NormBall], foreground: bool
) -> None:
    images = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    ball = Dual(norm(LARGEST_RADIUS), norm(LARGEST_RADIUS), torch.full((2, 1, 4, 4), foreground))
    gradient = torch.stack((images[0], torch.zeros(3, 4, 4)))
    for made in (ball.start(images, [1, 2]), ball.ascend(gradient, 100.0), ball.project(1e8 * images)):
        assert made.isfinite().all()


@pytest.mark.parametrize("norm", BALLS.values())
@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
def test_a_gradient_that_is_not_finite_makes_a_step_that_is(norm: type[NormBall], broken: float) -> None:
    gradient = torch.ones(2, 3, 4, 4)
    gradient[0, 0, 0, 0] = broken
    mask = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    mask[..., :2] = True
    for ball in (norm(2.0), Dual(norm(1.0), norm(2.0), mask)):
        step = ball.ascend(gradient, 1.0)
        assert step.isfinite().all() and torch.equal(step[1], ball.ascend(torch.ones(2, 3, 4, 4), 1.0)[1])
        assert all((spent > 0.9).all() for spent in ball.norms(step).values())
        # The sign of what is infinite, and no direction of what is no number.
        assert step[0, 0, 0, 0].sign() == (0.0 if broken != broken else math.copysign(1.0, broken))


@pytest.mark.parametrize("shape", [(1, 1, 4, 4), (3, 1, 4, 4), (2, 1, 4, 5)])
def test_a_mask_that_does_not_fit_the_images_is_refused(shape: tuple[int, ...]) -> None:
    ball = Dual(L2(1.0), L2(1.0), torch.ones(shape, dtype=torch.bool))
    with pytest.raises(UserError, match="^foreground: shape .* does not fit images"):
        ball.start(torch.rand(2, 3, 4, 4), [1, 2])
