"""What DeepGaze is given and what is made of its answer, with a stand-in and with the package itself."""

from __future__ import annotations

import math
import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dualperturb.errors import UserError
from dualperturb.saliency import deepgaze, foreground_mask, foreground_score, saliency_model, weights
from dualperturb.saliency.deepgaze import DeepGazeSaliency

INSTALLED = find_spec("deepgaze_pytorch") is not None


class StandIn(nn.Module):
    """Pixels in 0..255 and a log centre bias -> log density, with a channel axis in IIE."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.axis = variant == "IIE"
        self.weight = nn.Parameter(torch.tensor([0.02]))
        self.norm = nn.BatchNorm2d(1)

    def forward(self, image: Tensor, centerbias: Tensor) -> Tensor:
        self.seen = (image.detach(), centerbias.detach())
        energy = self.norm(self.weight * image.mean(1, keepdim=True))[:, 0] + centerbias
        density = energy - energy.logsumexp((1, 2), keepdim=True)
        return density[:, None] if self.axis else density


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(deepgaze, "build_network", StandIn)
    torch.save(StandIn("I").state_dict(), tmp_path / "stand_in.pth")
    return tmp_path / "stand_in.pth"


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("variant", ["I", "IIE"])
@pytest.mark.parametrize("size", [(16, 16), (20, 32), (64, 80)])
def test_density_has_the_images_size_and_sums_to_one(
    checkpoint: Path, variant: str, size: tuple[int, int]
) -> None:
    model: Any = saliency_model("deepgaze", variant=variant, weights=str(checkpoint), side=48)
    log_density = model(noise(3, 3, *size).double())
    assert log_density.shape == (3, *size) and log_density.dtype == torch.float32
    assert torch.allclose(log_density.exp().sum((1, 2)), torch.ones(3), atol=1e-5)


def test_pixels_reach_the_network_enlarged_and_from_0_to_255(checkpoint: Path) -> None:
    model = DeepGazeSaliency("IIE", str(checkpoint), side=48)
    images = torch.zeros(2, 3, 16, 24)
    images[:, :, :, 12:] = 1
    model(images)
    pixels, bias = model.network.seen
    assert pixels.shape == (2, 3, 48, 72) and bias.shape == (2, 48, 72)
    assert pixels.min() == 0 and pixels.max() == 255
    assert torch.allclose(bias.exp(), torch.full_like(bias, 1 / (48 * 72)))


def test_autocast_rounds_no_pixel(checkpoint: Path) -> None:
    model, images = DeepGazeSaliency("I", str(checkpoint), side=48), noise(1, 3, 16, 16)
    expected = model(images)
    pixels = model.network.seen[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        log_density = model(images)
    assert torch.equal(model.network.seen[0], pixels)
    assert log_density.dtype == torch.float32 and torch.allclose(log_density, expected, atol=1e-5)


def test_images_of_the_side_or_above_keep_their_pixels(checkpoint: Path) -> None:
    model = DeepGazeSaliency("I", str(checkpoint), side=48)
    images = noise(1, 3, 60, 72)
    model(images)
    assert torch.equal(model.network.seen[0], 255 * images)


def test_a_centre_bias_file_is_resized_and_normalised_again(checkpoint: Path, tmp_path: Path) -> None:
    rows, columns = np.mgrid[-1:1:64j, -1:1:64j]
    np.save(tmp_path / "bias.npy", 5.0 - 2 * (rows**2 + columns**2))  # not normalised
    model = DeepGazeSaliency("I", str(checkpoint), str(tmp_path / "bias.npy"), side=32)
    log_density = model(torch.full((2, 3, 32, 32), 0.5))
    bias = model.network.seen[1]
    assert torch.allclose(bias.exp().sum((1, 2)), torch.ones(2), atol=1e-5)
    assert (bias[0, 16, 16] - bias[0, 16, 0]).item() == pytest.approx(2, abs=0.15)
    assert torch.allclose(log_density, bias, atol=1e-4)  # a plain image says nothing


def test_the_gradient_of_the_score_reaches_the_image(checkpoint: Path) -> None:
    model = DeepGazeSaliency("IIE", str(checkpoint), side=24)
    images = noise(2, 3, 16, 16).requires_grad_()
    foreground = foreground_mask(model(images))
    (gradient,) = torch.autograd.grad(foreground_score(model(images), foreground).sum(), images)
    assert gradient.isfinite().all() and (gradient.abs().amax((1, 2, 3)) > 0).all()


def test_the_network_is_frozen_and_stays_in_eval_mode(checkpoint: Path) -> None:
    model = DeepGazeSaliency("I", str(checkpoint), side=16)
    images = 0.5 + 0 * noise(2, 3, 16, 16)
    before = model(images)
    assert model.train() is model and torch.equal(model(images), before)
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.skipif(INSTALLED, reason="the package is installed")
@pytest.mark.parametrize("variant", ["I", "IIE"])
def test_without_the_package_one_line_says_how_to_get_it(variant: str) -> None:
    with pytest.raises(UserError, match=r"-e '\.\[deepgaze\]'.*model: builtin"):
        DeepGazeSaliency(variant)


def test_without_a_network_one_line_says_what_to_fetch(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **options: object) -> None:
        assert options["weights_only"] is True
        raise OSError("no route\nto host")

    monkeypatch.setattr(weights.torch.hub, "load_state_dict_from_url", offline)
    with pytest.raises(UserError, match=r"deepgaze1\.pth failed \(no route to host\).*weights: PATH"):
        DeepGazeSaliency("I")


def test_unknown_variant_is_refused(checkpoint: Path) -> None:
    with pytest.raises(UserError, match="variant: found 'II', accepted are IIE, I"):
        DeepGazeSaliency("II", str(checkpoint))


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("fired").touch, ())


@pytest.mark.parametrize("kind", ["pickle", "text", "list", "absent", "other"])
def test_weights_that_are_no_state_dict_of_it_are_one_line(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"weight": Bomb()}, protocol=2))
    elif kind == "text":
        path.write_text("hello")
    elif kind != "absent":
        torch.save([1] if kind == "list" else {"weight": torch.zeros(3)}, path)
    with pytest.raises(UserError, match=r"^saliency model deepgaze: weights: .*weights\.pth") as error:
        DeepGazeSaliency("I", str(path))
    assert "\n" not in str(error.value) and not (tmp_path / "fired").exists()


@pytest.mark.parametrize("content", [None, np.zeros(3), np.zeros((2, 2), dtype=int), np.full((2, 2), np.nan)])
def test_a_centre_bias_that_is_none_is_one_line(
    checkpoint: Path, tmp_path: Path, content: np.ndarray | None
) -> None:
    if content is not None:
        np.save(tmp_path / "bias.npy", content)
    with pytest.raises(UserError, match=r"centre_bias: .*bias\.npy"):
        DeepGazeSaliency("I", str(checkpoint), str(tmp_path / "bias.npy"))


@pytest.mark.skipif(not INSTALLED, reason="deepgaze_pytorch is not installed")
def test_contract_of_the_package(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = deepgaze.build_network("I")
    nn.init.normal_(network.readout_network.conv0.weight, std=0.3)
    torch.save(network.state_dict(), tmp_path / "deepgaze1.pth")
    model = DeepGazeSaliency("I", str(tmp_path / "deepgaze1.pth"), side=128)
    images = noise(2, 3, 32, 32).requires_grad_()
    log_density = model(images)
    assert log_density.shape == (2, 32, 32)
    assert torch.allclose(log_density.exp().sum((1, 2)), torch.ones(2), atol=1e-4)
    # Every image of a batch is normalised, not the first alone.
    assert torch.allclose(log_density[1], model(images[1:])[0], atol=1e-4)
    score = foreground_score(log_density, foreground_mask(log_density))
    (gradient,) = torch.autograd.grad(score.sum(), images)
    assert gradient.isfinite().all() and (gradient.abs().amax((1, 2, 3)) > 0).all()
    image = noise(1, 3, 128, 128)
    bias = torch.full((1, 128, 128), -2 * math.log(128))
    assert torch.allclose(model(image), network(255 * image, bias), atol=1e-4)


@pytest.mark.skipif(not INSTALLED, reason="deepgaze_pytorch is not installed")
def test_the_parts_of_deepgaze_iie_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepgaze, "COMPONENTS", 1)
    network = deepgaze.build_network("IIE").eval()
    names = list(network.state_dict())
    for start in ("1.module.conv1", "1._conv_stem", "1.features.conv0", "1.conv1"):
        assert any(f".features.features.{start}.weight" in name for name in names)
    with torch.no_grad():
        found = network(255 * noise(1, 3, 96, 96), torch.full((1, 96, 96), -2 * math.log(96)))
    assert found.shape == (1, 1, 96, 96)
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-4)
