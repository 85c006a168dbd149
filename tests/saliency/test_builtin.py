"""The built-in saliency model: a normalised density, a true gradient, and a sense of what stands out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from dualperturb.errors import UserError
from dualperturb.saliency import builtin, foreground_mask, foreground_score, saliency_model
from dualperturb.saliency.builtin import BORDER_RIDGE, CENTRE_SIGMA, DISTANCE_FLOOR, BuiltinSaliency

MODEL = BuiltinSaliency()


def noise(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.rand(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def blob(side: int, row: float, column: float, radius: float = 0.12) -> Tensor:
    """A red disc on a plain grey-green background; centre and radius as shares of the side."""
    position = (torch.arange(side) + 0.5) / side
    inside = (position[:, None] - row) ** 2 + (position[None, :] - column) ** 2 < radius**2
    background, disc = torch.tensor([0.4, 0.5, 0.4]), torch.tensor([0.9, 0.1, 0.1])
    return torch.where(inside, disc[:, None, None], background[:, None, None])[None]


def centre_of_mass(log_density: Tensor) -> tuple[float, float]:
    density = log_density[0].exp()
    rows, columns = ((torch.arange(side) + 0.5) / side for side in density.shape)
    return (density.sum(1) * rows).sum().item(), (density.sum(0) * columns).sum().item()


def centre_gaussian(height: int, width: int) -> Tensor:
    rows, columns = (((torch.arange(side) + 0.5) / side - 0.5) / CENTRE_SIGMA for side in (height, width))
    density = torch.exp(-0.5 * (rows[:, None] ** 2 + columns[None, :] ** 2))
    return density / density.sum()


@pytest.mark.parametrize("size", [(4, 4), (32, 32), (64, 64), (96, 70), (40, 130), (224, 224)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_density_sums_to_one(size: tuple[int, int], dtype: torch.dtype) -> None:
    log_density = MODEL(noise(2, 3, *size, dtype=dtype))
    assert log_density.shape == (2, *size) and log_density.dtype == dtype
    assert torch.allclose(log_density.exp().sum((1, 2)), torch.ones(2, dtype=dtype), atol=1e-5)


@pytest.mark.parametrize("size", [(4, 4), (12, 12), (68, 66)])
def test_gradient_of_the_score_against_finite_differences(size: tuple[int, int]) -> None:
    images = (0.1 + 0.8 * noise(2, 3, *size, dtype=torch.float64)).requires_grad_()
    foreground = foreground_mask(MODEL(images))
    (gradient,) = torch.autograd.grad(foreground_score(MODEL(images), foreground).sum(), images)
    assert gradient.abs().max() > 1e-6
    for seed in range(3):
        direction = noise(*images.shape, dtype=torch.float64, seed=seed + 1) - 0.5
        step = 1e-5 * direction
        with torch.no_grad():
            above, below = (foreground_score(MODEL(images + s), foreground).sum() for s in (step, -step))
        expected = (above - below).item() / 2e-5
        assert (gradient * direction).sum().item() == pytest.approx(expected, rel=1e-5, abs=1e-8)


def test_every_entry_of_the_gradient() -> None:
    images = noise(1, 3, 5, 6, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(MODEL, images, eps=1e-6, atol=1e-5)


@pytest.mark.parametrize("side", [32, 96])
def test_an_images_density_does_not_depend_on_the_batch(side: int) -> None:
    images = noise(5, 3, side, side)
    images[3] = 0
    together = MODEL(images)
    apart = torch.cat([MODEL(image[None]) for image in images])
    assert torch.allclose(together, apart, atol=2e-4)


@pytest.mark.parametrize("side", [32, 64, 112])
def test_a_saturated_blob_gets_most_of_the_mass(side: int) -> None:
    image = blob(side, 0.5, 0.5)
    disc = (image[:, :1] > 0.6).float()
    around = torch.nn.functional.max_pool2d(disc, 2 * (side // 16) + 1, stride=1, padding=side // 16) > 0
    assert around.float().mean() < 0.15
    assert foreground_score(MODEL(image), around).item() > 0.6
    assert (foreground_mask(MODEL(image)) & (disc > 0)).sum() == disc.sum()


@pytest.mark.parametrize("place", [(0.3, 0.3), (0.3, 0.7), (0.65, 0.4)])
def test_the_density_follows_the_blob(place: tuple[float, float]) -> None:
    assert centre_of_mass(MODEL(blob(48, *place))) == pytest.approx(place, abs=0.06)


@pytest.mark.parametrize("colour", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.2, 0.7, 0.4)])
@pytest.mark.parametrize("size", [(4, 4), (32, 32), (72, 80)])
def test_a_plain_image_gives_the_centre_bias_alone(
    colour: tuple[float, float, float], size: tuple[int, int]
) -> None:
    images = torch.tensor(colour)[None, :, None, None].repeat(1, 1, *size).requires_grad_()
    log_density = MODEL(images)
    assert torch.allclose(log_density.exp()[0], centre_gaussian(*size), rtol=1e-3)
    left = torch.zeros(1, 1, *size, dtype=torch.bool)
    left[..., : size[1] // 2] = True
    (gradient,) = torch.autograd.grad(foreground_score(log_density, left).sum(), images)
    assert gradient.isfinite().all() and gradient.abs().max() < 1e-3


def test_a_grey_image_has_a_finite_gradient() -> None:
    images = noise(2, 1, 32, 32).repeat(1, 3, 1, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(MODEL(images)[:, 3, 4].sum(), images)
    assert gradient.isfinite().all() and gradient.abs().max() > 0


def test_signature_of_one_cosine_is_its_square() -> None:
    column = (torch.arange(16, dtype=torch.float64) + 0.5) / 16
    cosine = torch.cos(3 * math.pi * column).repeat(16, 1)
    colours = torch.zeros(1, 3, 16, 16, dtype=torch.float64)
    colours[:, 1] = 0.5 + cosine
    constants = builtin._constants(16, 16, torch.float64, colours.device)
    # Norm 1 over the pixels, as a saturated sign on an orthonormal basis gives it.
    assert torch.allclose(builtin._signature(colours, constants.dct)[0], cosine.square() / 128, atol=1e-9)


def test_border_distance_by_hand() -> None:
    colours = torch.zeros(1, 3, 10, 10, dtype=torch.float64)
    colours[:, 0, :, :] = torch.tensor([0.4, 0.6]).repeat(5)  # the border varies by 0.1 in the first channel
    colours[0, :, 4, 4] = torch.tensor([0.8, 0.0, 0.0])
    colours[0, :, 5, 5] = torch.tensor([0.5, 0.0, 0.2])
    constants = builtin._constants(10, 10, torch.float64, colours.device)
    distance = builtin._border_distance(colours, constants.border)[0]
    assert distance[4, 4].item() == pytest.approx(math.sqrt(0.09 / (0.01 + BORDER_RIDGE) + DISTANCE_FLOOR))
    assert distance[5, 5].item() == pytest.approx(math.sqrt(0.04 / BORDER_RIDGE + DISTANCE_FLOOR))


@pytest.mark.parametrize("energy", ["_signature", "_border_distance"])
def test_either_energy_draws_the_density(energy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    corner = torch.zeros(1, 32, 32)
    corner[:, 25:28, 4:7] = 1e6
    monkeypatch.setattr(builtin, energy, lambda *_: corner)
    assert centre_of_mass(MODEL(noise(1, 3, 32, 32))) == pytest.approx((26.5 / 32, 5.5 / 32), abs=0.03)


def test_dct_is_orthonormal() -> None:
    matrix = builtin._dct(12)
    assert torch.allclose(matrix @ matrix.T, torch.eye(12, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    images = noise(2, 3, 32, 32).to(dtype)
    log_density = MODEL(images)
    assert log_density.dtype == torch.float32
    assert torch.equal(log_density, MODEL(images.float()))


def test_autocast_does_not_lower_the_precision() -> None:
    images = noise(2, 3, 32, 32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lowered = MODEL(images)
    assert torch.equal(lowered, MODEL(images))


def test_a_call_in_inference_mode_leaves_later_gradients_alone() -> None:
    images = noise(1, 3, 37, 37)
    with torch.inference_mode():
        MODEL(images)
    images = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(MODEL(images)[:, 0, 0].sum(), images)
    assert gradient.isfinite().all()


def test_a_model_by_its_name() -> None:
    assert isinstance(saliency_model("builtin"), BuiltinSaliency)
    with pytest.raises(UserError, match="found 'builtn', accepted are builtin"):
        saliency_model("builtn")


@pytest.mark.parametrize(
    "images", [torch.ones(2, 1, 8, 8), torch.ones(3, 8, 8), torch.ones(2, 3, 8, 8, dtype=torch.uint8)]
)
def test_images_of_another_kind_are_refused(images: torch.Tensor) -> None:
    with pytest.raises(UserError, match=r"^saliency model builtin: images: found [^\n]*$"):
        BuiltinSaliency()(images)
