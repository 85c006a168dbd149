"""The control: the same Gaussian for every image."""

from __future__ import annotations

import math

import pytest
import torch

from dualperturb.saliency import foreground_mask, foreground_score, saliency_model
from dualperturb.saliency.builtin import CENTRE_SIGMA, BuiltinSaliency
from dualperturb.saliency.center import CenterSaliency, _log_density, centre_disc

MODEL = CenterSaliency()


@pytest.mark.parametrize(("dtype", "found"), [(torch.float16, torch.float32), (torch.float64, torch.float64)])
def test_density_sums_to_one_in_its_precision(dtype: torch.dtype, found: torch.dtype) -> None:
    log_density = MODEL(torch.rand(2, 3, 12, 20, generator=torch.Generator().manual_seed(0)).to(dtype))
    assert log_density.shape == (2, 12, 20) and log_density.dtype == found
    assert torch.allclose(log_density.exp().sum((1, 2)), torch.ones(2, dtype=found), atol=1e-5)
    assert torch.equal(log_density[0], log_density[1])


def test_gaussian_by_hand() -> None:
    log_density = MODEL(torch.zeros(1, 3, 4, 4, dtype=torch.float64))[0]
    # From the pixel at (1/8, 1/8) off the centre to that at (3/8, 1/8): one axis alone changes.
    expected = -0.5 * ((3 / 8) ** 2 - (1 / 8) ** 2) / CENTRE_SIGMA**2
    assert (log_density[0, 1] - log_density[1, 1]).item() == pytest.approx(expected)
    assert torch.allclose(log_density, log_density.flip(0)) and torch.allclose(log_density, log_density.T)


def test_it_is_what_the_builtin_model_says_of_a_plain_image() -> None:
    plain = torch.full((1, 3, 32, 32), 0.4)
    assert torch.allclose(MODEL(plain), BuiltinSaliency()(plain), atol=1e-3)


def test_what_is_kept_is_of_that_size_and_good_for_gradients() -> None:
    images = torch.rand(2, 3, 10, 14, generator=torch.Generator().manual_seed(0))
    _log_density.cache_clear()
    with torch.inference_mode():
        first = MODEL(images).clone()
        assert not _log_density(10, 14, torch.float32, images.device).is_inference()
    assert _log_density.cache_info().misses == 1
    again = MODEL(images.requires_grad_())
    again.square().sum().backward()
    assert torch.equal(again, first) and torch.allclose(MODEL(images.mT), first.mT)


def test_what_is_given_out_is_no_part_of_what_is_kept() -> None:
    images = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    first = MODEL(images)
    wanted = first.clone()
    first.zero_()
    assert torch.equal(MODEL(images), wanted)


def test_gradient_is_zero_and_no_error() -> None:
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    score = foreground_score(MODEL(images), foreground_mask(MODEL(images)))
    (gradient,) = torch.autograd.grad(score.sum(), images)
    assert torch.equal(gradient, torch.zeros_like(images))


def test_the_mask_is_a_circle_in_the_middle() -> None:
    mask = foreground_mask(saliency_model("center")(torch.zeros(1, 3, 64, 64)))[0, 0]
    assert mask[32, 32] and not mask[0, 0]
    # Half of the largest squared distance, that of a corner's pixel: a circle of radius 31.5 pixels.
    assert mask.float().mean().item() == pytest.approx(math.pi * (31.5 / 64) ** 2, abs=0.01)


def test_the_disc_is_the_mask_of_what_the_model_says() -> None:
    """Half of the largest squared distance, that of a corner's pixel."""
    disc = centre_disc(32, 32)
    rows, columns = torch.meshgrid(torch.arange(32) - 15.5, torch.arange(32) - 15.5, indexing="ij")
    squares = rows.square() + columns.square()
    assert disc.shape == (1, 1, 32, 32)
    assert disc[0, 0][squares < 240].all() and not disc[0, 0][squares > 241].any()  # 15.5^2 + 0.5^2 = 240.5
    assert torch.equal(centre_disc(10, 14), foreground_mask(MODEL(torch.rand(1, 3, 10, 14))))
