"""Foreground mask and foreground score against cases computed by hand."""

from __future__ import annotations

import math

import pytest
import torch

from dualperturb.core.score import check_log_density
from dualperturb.errors import UserError
from dualperturb.saliency import foreground_mask, foreground_score

# Masses 1/2, 1/4, 3/16, 1/16. On the log the threshold is log sqrt(1/2 * 1/16) = log 0.177: three pixels.
# On the density it is (1/2 + 1/16) / 2 = 0.281: one pixel.
DENSITY = torch.tensor([[[8.0, 4.0], [3.0, 1.0]]], dtype=torch.float64) / 16


def test_mask_on_the_log_by_hand() -> None:
    mask = foreground_mask(DENSITY.log())
    assert mask.shape == (1, 1, 2, 2) and mask.dtype == torch.bool
    assert mask[0, 0].tolist() == [[True, True], [True, False]]


def test_mask_on_the_density_by_hand() -> None:
    mask = foreground_mask(DENSITY.log(), on="density")
    assert mask[0, 0].tolist() == [[True, False], [False, False]]


def test_threshold_is_each_images_own() -> None:
    both = torch.cat((DENSITY.log(), DENSITY.log().flip(2) - 100))
    mask = foreground_mask(both)
    assert mask[1, 0].tolist() == [[True, True], [False, True]]
    assert torch.equal(mask[:1], foreground_mask(both[:1]))


@pytest.mark.parametrize("on", ["log", "density"])
def test_constant_map_has_an_empty_foreground(on: str) -> None:
    assert not foreground_mask(torch.full((2, 3, 3), -math.log(9)), on).any()


def test_density_far_below_the_range_of_exp() -> None:
    assert foreground_mask(DENSITY.log().float() - 500, on="density").sum() == 1


def test_half_precision_is_compared_in_float32() -> None:
    # bfloat16 rounds the sum -602 to -600, which would put the threshold on the maximum.
    values = torch.tensor([[[-302.0, -300.0]]], dtype=torch.bfloat16)
    assert foreground_mask(values)[0, 0].tolist() == [[False, True]]


def test_unknown_map_is_refused() -> None:
    with pytest.raises(UserError, match="'linear'.*'log' and 'density'"):
        foreground_mask(DENSITY.log(), on="linear")


def test_score_by_hand() -> None:
    log_density = DENSITY.log().repeat(3, 1, 1)
    foreground = torch.tensor([[[1, 1], [0, 0]], [[0, 0], [1, 1]], [[0, 0], [0, 0]]], dtype=torch.bool)
    score = foreground_score(log_density, foreground[:, None])
    assert score.tolist() == pytest.approx([12 / 16, 4 / 16, 0])


def test_score_gradient_is_the_density_on_the_foreground() -> None:
    log_density = DENSITY.log().requires_grad_()
    foreground = torch.tensor([[[[True, False], [True, False]]]])
    (gradient,) = torch.autograd.grad(foreground_score(log_density, foreground).sum(), log_density)
    assert torch.allclose(gradient, DENSITY * foreground[:, 0])


def test_full_foreground_never_scores_above_one_and_keeps_its_gradient() -> None:
    log_density = (DENSITY.log() + 1e-6).requires_grad_()
    score = foreground_score(log_density, torch.ones(1, 1, 2, 2, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(score.sum(), log_density)
    assert score.item() <= 1
    assert torch.allclose(gradient, DENSITY, rtol=1e-5)


def test_foreground_of_another_shape_is_refused() -> None:
    with pytest.raises(UserError, match=r"\(1, 2, 2\).*\(1, 1, 2, 2\)"):
        foreground_score(DENSITY.log(), torch.ones(1, 2, 2, dtype=torch.bool))


def test_a_foreground_of_another_type_is_refused() -> None:
    """Its bytes would be read as other numbers."""
    with pytest.raises(UserError, match=r"found torch\.float32 \(1, 1, 2, 2\), accepted is torch\.bool"):
        foreground_score(DENSITY.log(), torch.ones(1, 1, 2, 2))


DENSITIES = {
    "a channel too many": DENSITY.log()[:, None],
    "no batch": DENSITY.log()[0],
    "whole numbers, whose sum overflows": (200 * DENSITY).to(torch.uint8),
    "an array": DENSITY.log().numpy(),
    "a tuple": (DENSITY.log(),),
}


@pytest.mark.parametrize("given", DENSITIES.values(), ids=DENSITIES.keys())
def test_what_is_no_log_density_is_refused(given: torch.Tensor) -> None:
    """(N, 1, H, W) would be thresholded column by column."""
    told = r"log_density: found [^\n]+, accepted is a float tensor \(N, H, W\)$"
    with pytest.raises(UserError, match="^foreground_mask: " + told):
        foreground_mask(given)
    with pytest.raises(UserError, match="^foreground_score: " + told):
        foreground_score(given, torch.ones(1, 1, 2, 2, dtype=torch.bool))
    with pytest.raises(UserError, match="^saliency model: " + told):
        check_log_density(given)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_a_map_is_a_log_density_within_five_in_a_hundred(dtype: torch.dtype) -> None:
    """The mass is summed over many pixels, as float16 could not."""
    uniform = torch.full((2, 128, 128), -math.log(128 * 128), dtype=dtype)
    for mass in (0.96, 1.0, 1.04):
        check_log_density(uniform + math.log(mass))
    for mass in (0.93, 1.07):
        with pytest.raises(UserError, match=rf"^saliency model: found a map that sums to {mass}"):
            check_log_density((uniform.double() + math.log(mass)).to(torch.float64))
    check_log_density(uniform[:0])
