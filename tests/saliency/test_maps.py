"""The classical models without weights: what all promise, and of each a case that can be reckoned."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from dualperturb.errors import UserError
from dualperturb.saliency import SaliencyModel, saliency_model
from dualperturb.saliency.contrast import ContrastSaliency
from dualperturb.saliency.frequency_tuned import FrequencyTunedSaliency, lab
from dualperturb.saliency.maps import blurred
from dualperturb.saliency.spectral_residual import NO_AMPLITUDE, SpectralResidualSaliency

NAMES = ("contrast", "frequency_tuned", "spectral_residual")
every_model = pytest.mark.parametrize("model", [saliency_model(name) for name in NAMES], ids=NAMES)


def images(count: int = 3, height: int = 24, width: int = 20, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0)).to(dtype)


def blob(side: int = 48) -> Tensor:
    """A red disc on grey, in the upper left."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    inside = ((rows - side / 3) ** 2 + (columns - side / 3) ** 2 < (side / 8) ** 2).float()
    grey, red = torch.full((3, side, side), 0.5), torch.tensor([0.9, 0.1, 0.1]).view(3, 1, 1)
    return (grey * (1 - inside) + red * inside)[None]


@every_model
@pytest.mark.parametrize("size", [(8, 8), (32, 32), (70, 65), (224, 100)])
def test_the_density_sums_to_one(model: SaliencyModel, size: tuple[int, int]) -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        found = model(images(2, *size, dtype))
        assert found.shape == (2, *size) and found.isfinite().all()
        assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        assert torch.allclose(found.exp().sum((1, 2)), torch.ones(2, dtype=found.dtype), atol=1e-5)


@every_model
def test_the_gradient_is_that_of_finite_differences(model: SaliencyModel) -> None:
    def score(pixels: Tensor) -> Tensor:
        return model(pixels).exp()[:, 5:15, 5:15].sum()

    assert torch.autograd.gradcheck(score, images(1, 20, 20).requires_grad_(True))


@every_model
def test_a_blob_draws_the_density(model: SaliencyModel) -> None:
    found = model(blob()).exp()[0]
    around = torch.zeros(48, 48, dtype=torch.bool)
    around[6:26, 6:26] = True
    assert found[around].mean() > 4 * found[~around].mean()


@every_model
@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_a_plain_image_has_a_finite_density_and_gradient(model: SaliencyModel, grey: float) -> None:
    plain = torch.full((1, 3, 16, 16), grey, requires_grad=True)
    found = model(plain)
    found[:, 3, 4].sum().backward()
    assert found.isfinite().all() and plain.grad is not None and plain.grad.isfinite().all()


@every_model
def test_an_images_density_does_not_depend_on_the_batch(model: SaliencyModel) -> None:
    assert torch.allclose(model(images())[1:2], model(images()[1:2]))


@every_model
@pytest.mark.parametrize(
    "wrong", [torch.rand(1, 1, 8, 8), torch.rand(3, 8, 8), torch.ones(1, 3, 8, 8).byte()]
)
def test_images_of_another_kind_are_refused(model: SaliencyModel, wrong: Tensor) -> None:
    with pytest.raises(UserError, match=r"accepted is float \(N, 3, H, W\)"):
        model(wrong)


def test_blur_keeps_a_constant_and_widens_a_point() -> None:
    assert torch.allclose(blurred(torch.ones(1, 9, 7), 2.0), torch.ones(1, 9, 7))
    point = torch.zeros(1, 41, 41, dtype=torch.float64)
    point[0, 20, 20] = 1
    spread = blurred(point, 3.0)[0].sum(1)
    rows = torch.arange(41, dtype=torch.float64)
    assert float((spread * (rows - 20) ** 2).sum().sqrt()) == pytest.approx(3.0, rel=1e-3)


def test_cielab_of_known_colours() -> None:
    """White, black, sRGB red, green and blue, by the CIE's formulae for the white point D65."""
    colours = torch.tensor([[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    found = lab(colours[:, :, None, None])[:, :, 0, 0] - torch.tensor([16.0, 0.0, 0.0])
    expected = [
        [100, 0, 0],
        [0, 0, 0],
        [53.24, 80.09, 67.20],
        [87.73, -86.18, 83.18],
        [32.30, 79.19, -107.86],
    ]
    assert np.allclose(found.numpy(), expected, atol=0.02)


def test_frequency_tuned_is_the_distance_from_the_mean_colour() -> None:
    halves = torch.full((1, 3, 12, 12), 0.25)
    halves[..., 6:] = 0.75
    found = FrequencyTunedSaliency().salience(halves)[0]
    dark, light = (lab(torch.full((1, 3, 1, 1), grey))[0, 0, 0, 0] for grey in (0.25, 0.75))
    assert torch.allclose(found[:, :3], (light - dark) / 2, rtol=1e-3)
    assert torch.allclose(found[:, -3:], (light - dark) / 2, rtol=1e-3)


def test_contrast_is_deaf_to_a_shift_of_brightness() -> None:
    low = 0.5 * images(1)
    model = ContrastSaliency()
    assert torch.allclose(model.salience(low), model.salience(low + 0.5), atol=1e-9)


def test_contrast_against_numpy() -> None:
    """Centres of 1, 2 and 4 pixels where the shorter side has 64, surrounds four times as wide."""

    def blur(maps: np.ndarray, sigma: float) -> np.ndarray:
        for axis in (1, 2):
            place = np.arange(maps.shape[axis])
            weights = np.exp(-(((place[:, None] - place) / sigma) ** 2) / 2)
            maps = np.apply_along_axis(np.dot, axis, maps, (weights / weights.sum(1, keepdims=True)).T)
        return maps

    pixels = images(1, 64, 70)
    red, green, blue = pixels[0].numpy()
    colours = np.stack([(red + green + blue) / 3, red - green, blue - (red + green) / 2])
    pairs = [(blur(colours, sigma), blur(colours, 4 * sigma)) for sigma in (1, 2, 4)]
    expected = sum(np.linalg.norm(centre - surround, axis=0) for centre, surround in pairs)
    assert np.allclose(ContrastSaliency().salience(pixels)[0].numpy(), expected, rtol=1e-6)


def test_spectral_residual_against_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Step by step as the paper tells it, before the blur."""
    from dualperturb.saliency import spectral_residual

    monkeypatch.setattr(spectral_residual, "blurred", lambda maps, sigma: maps)
    pixels = images(1, 16, 16)
    spectrum = np.fft.fft2(pixels[0].mean(0).numpy())
    logs = np.log(np.abs(spectrum) + NO_AMPLITUDE)
    smooth = sum(np.roll(logs, (a, b), (0, 1)) for a in (-1, 0, 1) for b in (-1, 0, 1)) / 9
    expected = np.abs(np.fft.ifft2(np.exp(logs - smooth + 1j * np.angle(spectrum)))) ** 2
    found = SpectralResidualSaliency().salience(pixels)[0].numpy()
    assert np.allclose(found, expected, rtol=1e-4)
    assert math.isclose(float(found.sum()), float(expected.sum()), rel_tol=1e-5)
