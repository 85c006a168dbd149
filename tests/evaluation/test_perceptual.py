from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from dualperturb.core.threat_model import ThreatModel
from dualperturb.errors import UserError
from dualperturb.evaluation.measuring.scoring import AttackSettings
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.evaluation.perceptual import (
    Distance,
    lpips_distance,
    perceptual_distance,
    ssim_distance,
)

SETTINGS = AttackSettings(steps=3, step_size=0.5, restarts=1, batch_size=6, seed=0)
DUAL = ThreatModel("L2", 0.1, 0.4)
MakeSubject = Callable[..., Subject]


def mean_change(first: Tensor, second: Tensor) -> Tensor:
    """A distance that needs no package."""
    return (second - first).abs().flatten(1).mean(dim=1)


def pictures(count: int, side: int = 32) -> tuple[Tensor, Tensor, Tensor]:
    """Images, noisy copies, and masks: empty, full, then the upper half."""
    generator = torch.Generator().manual_seed(count)
    images = torch.rand(count, 3, side, side, generator=generator)
    noise = 0.2 * torch.randn(images.shape, generator=generator)
    foreground = torch.zeros(count, 1, side, side, dtype=torch.bool)
    foreground[1:2] = True
    foreground[2:, :, : side // 2] = True
    return images, (images + noise).clamp(0, 1), foreground


def alexnet(seed: int = 0) -> dict[str, Tensor]:
    """Random numbers in the shapes of torchvision's AlexNet: its convolutions, and a layer not used."""
    generator = torch.Generator().manual_seed(seed)
    layers = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    state = {"classifier.6.bias": torch.zeros(1000)}
    for place, (outputs, inputs, side) in layers.items():
        weight = torch.randn(outputs, inputs, side, side, generator=generator)
        state[f"features.{place}.weight"] = weight / (inputs * side**2) ** 0.5
        state[f"features.{place}.bias"] = torch.zeros(outputs)
    return state


@pytest.fixture(scope="module")
def lpips(tmp_path_factory: pytest.TempPathFactory) -> Distance:
    pytest.importorskip("torchmetrics")
    path = tmp_path_factory.mktemp("weights") / "alexnet.safetensors"
    save_file(alexnet(), path)
    return lpips_distance(path)


@pytest.fixture
def distances(lpips: Distance) -> dict[str, Distance]:
    return {"ssim": ssim_distance, "lpips": lpips}


@pytest.mark.parametrize("name", ["ssim", "lpips"])
def test_the_foreground_column_sees_the_foregrounds_noise_alone(
    distances: dict[str, Distance], name: str
) -> None:
    images, adversarial, foreground = pictures(4)
    table = perceptual_distance(images, adversarial, foreground, distances[name])
    assert list(table.columns) == ["whole", "foreground"] and len(table) == 4
    assert table.loc[0, "foreground"] == pytest.approx(0, abs=1e-6)  # empty
    assert table.loc[1, "foreground"] == pytest.approx(table.loc[1, "whole"], rel=1e-4)  # full
    assert (table["whole"] > 0.001).all()
    assert (table.loc[2:, "foreground"] < table.loc[2:, "whole"]).all()
    moved = torch.where(foreground, adversarial, 1 - adversarial)  # another background changes `whole` alone
    other = perceptual_distance(images, moved, foreground, distances[name])
    assert np.allclose(other["foreground"], table["foreground"], atol=1e-6)
    assert not np.allclose(other["whole"].drop(1), table["whole"].drop(1), rtol=0.05)


@pytest.mark.parametrize("name", ["ssim", "lpips"])
def test_each_images_distance_is_its_own(distances: dict[str, Distance], name: str) -> None:
    images, adversarial, foreground = pictures(4)
    whole = perceptual_distance(images, adversarial, foreground, distances[name])
    alone = pd.concat(
        [
            perceptual_distance(
                images[k : k + 1], adversarial[k : k + 1], foreground[k : k + 1], distances[name]
            )
            for k in range(4)
        ],
        ignore_index=True,
    )
    assert np.allclose(alone, whole, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["ssim", "lpips"])
def test_more_noise_is_farther(distances: dict[str, Distance], name: str) -> None:
    images, adversarial, _ = pictures(4)
    steps = [distances[name](images, images + share * (adversarial - images)) for share in (0, 0.3, 0.6, 1)]
    assert torch.allclose(steps[0], torch.zeros_like(steps[0]), atol=1e-6)
    assert all((after > before).all() for before, after in zip(steps, steps[1:], strict=False))


def test_ssim_is_the_default_and_is_the_formula() -> None:
    """For a change of brightness between flat images SSIM is its luminance term alone."""
    pytest.importorskip("torchmetrics")
    first, second = torch.full((1, 3, 16, 16), 0.25), torch.full((1, 3, 16, 16), 0.75)
    term = (2 * 0.25 * 0.75 + 0.01**2) / (0.25**2 + 0.75**2 + 0.01**2)
    assert float(ssim_distance(first, second)) == pytest.approx(1 - term, abs=1e-9)
    images, adversarial, foreground = pictures(3)
    pd.testing.assert_frame_equal(
        perceptual_distance(images, adversarial, foreground),
        perceptual_distance(images, adversarial, foreground, ssim_distance),
    )


def test_lpips_takes_its_convolutions_from_the_file(lpips: Distance, tmp_path: Path) -> None:
    images, adversarial, _ = pictures(2)
    torch.save(alexnet(seed=1), tmp_path / "other.pth")
    state = torch.random.get_rng_state()
    other = lpips_distance(tmp_path / "other.pth")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not torch.allclose(other(images, adversarial), lpips(images, adversarial), rtol=0.01)


def by_hand(first: Tensor, second: Tensor) -> Tensor:
    """LPIPS as Zhang et al. 2018 define it, with the random convolutions and the package's heads."""
    from torchmetrics.functional.image import lpips as package

    file = Path(package.__file__).parent / "lpips_models/alex.pth"
    heads = torch.load(file, map_location="cpu", weights_only=True)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    state, total = alexnet(), torch.zeros(len(first))
    values = (torch.cat([first, second]) - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    for layer, (place, stride, padding) in enumerate(
        [(0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)]
    ):
        pooled = F.max_pool2d(values, 3, 2) if place in (3, 6) else values
        weight, bias = (state[f"features.{place}.{name}"] for name in ("weight", "bias"))
        values = F.conv2d(pooled, weight, bias, stride, padding).relu()
        one, two = F.normalize(values, dim=1).chunk(2)
        total += ((one - two) ** 2 * heads[f"lin{layer}.model.1.weight"]).sum(dim=1).mean(dim=(1, 2))
    return total


def test_lpips_is_its_definition(lpips: Distance) -> None:
    images, adversarial, _ = pictures(3)
    # The package writes ImageNet's mean and deviation with three digits, on pixels in [-1, 1].
    assert torch.allclose(lpips(images, adversarial), by_hand(images, adversarial), rtol=0.02)


def test_another_networks_weights_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("torchmetrics")
    state = alexnet()
    state["features.3.weight"] = state["features.3.weight"][:, :8].clone()
    save_file(state, tmp_path / "narrow.safetensors")
    with pytest.raises(UserError, match=r"narrow\.safetensors does not fit AlexNet: features\.3\.weight is"):
        lpips_distance(tmp_path / "narrow.safetensors")
    with pytest.raises(UserError, match="^lpips weights: .*absent.pth not found"):
        lpips_distance(tmp_path / "absent.pth")


def test_small_images_are_refused(distances: dict[str, Distance]) -> None:
    for name, smallest in (("ssim", 11), ("lpips", 31)):
        images, adversarial, _ = pictures(2, side=smallest)
        assert torch.isfinite(distances[name](images, adversarial)).all()
        with pytest.raises(UserError, match=f"needs at least {smallest} pixels a side, found {smallest - 1}"):
            distances[name](images[..., 1:], adversarial[..., 1:])


def test_shapes_that_do_not_fit_are_refused() -> None:
    images, adversarial, foreground = pictures(3)
    for wrong in ((images[:2], adversarial, foreground), (images, adversarial, foreground[:, 0])):
        with pytest.raises(UserError, match="^perceptual distance: found images"):
            perceptual_distance(*wrong, mean_change)


@pytest.mark.parametrize("name", ["torchmetrics.functional.image", "torchmetrics.functional.image.lpips"])
def test_without_the_package_one_line_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=r"torchmetrics is missing: pip install -e '\.\[perceptual\]'"):
        if name.endswith("lpips"):
            lpips_distance(tmp_path / "alexnet.pth")
        else:
            perceptual_distance(*pictures(1))
