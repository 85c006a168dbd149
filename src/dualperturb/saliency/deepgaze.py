"""DeepGaze I and IIE through the package `deepgaze_pytorch` (extra `deepgaze`).

DeepGaze IIE: Linardos, Kuemmerer, Press and Bethge, "DeepGaze IIE: calibrated prediction in and out-of-domain
for state-of-the-art saliency modeling", ICCV 2021; the successor of the paper's DeepGaze II. DeepGaze I:
Kuemmerer, Theis and Bethge, ICLR workshops 2015; the light one, on one AlexNet.

The package's own constructors download every backbone, although the published checkpoints hold them too, and
the pinned release normalises only the first image of a batch. So the networks are put together here from
the package's parts, around backbones without weights and with a normalisation of our own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualperturb.errors import UserError
from dualperturb.saliency.maps import resize_matrix
from dualperturb.saliency.weights import load_weights, normalisation

_RELEASES = "https://github.com/matthias-k/DeepGaze/releases/download"
URLS = {"IIE": f"{_RELEASES}/v1.0.0/deepgaze2e.pth", "I": f"{_RELEASES}/v1.01/deepgaze1.pth"}
COMPONENTS = 30  # readouts per backbone in DeepGaze IIE: three runs of ten folds
WHAT = "saliency model deepgaze"


class DeepGazeSaliency(nn.Module):
    """DeepGaze as a normalised log density: frozen, always in eval mode, differentiable in the images.

    variant: "IIE" or "I". weights: "download" or a local copy of the published checkpoint. centre_bias:
    "uniform", or a .npy file with a log density (H, W), such as the published one from MIT1003. side: images
    whose shorter side is smaller are enlarged to it, since the network first halves its input.
    Raises UserError if the package, the weights or the centre bias cannot be had.
    """

    bias: Tensor

    def __init__(
        self, variant: str = "IIE", weights: str = "download", centre_bias: str = "uniform", side: int = 448
    ) -> None:
        super().__init__()
        if variant not in URLS:
            raise UserError(f"{WHAT}: variant: found {variant!r}, accepted are {', '.join(URLS)}")
        self.side = side
        self.register_buffer("bias", _centre_bias(centre_bias))
        self.network = build_network(variant)
        load_weights(self.network, weights, URLS[variant], WHAT)
        self.eval()

    def train(self, mode: bool = True) -> DeepGazeSaliency:
        """The network stays in eval mode: its statistics are part of the published model."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] -> log density (N, H, W) in float32."""
        count, _, height, width = images.shape
        grow = max(1.0, self.side / min(height, width))
        size = (round(height * grow), round(width * grow))
        bias = _normalised(_resized(self.bias[None], size)).expand(count, -1, -1)
        predicted: Tensor = self.network(255 * _resized(images.float(), size), bias)
        # DeepGaze IIE keeps a channel axis, DeepGaze I does not.
        return _normalised(_resized(predicted.float().reshape(count, *size), (height, width)))


def build_network(variant: str) -> nn.Module:
    """DeepGaze "I" or "IIE" with random weights, named as in the published checkpoints."""
    modules = _package("modules")
    if variant == "I":
        return _deepgaze_one(modules)
    parts = _package("deepgaze2e")
    backbones = [
        {**backbone, "type": f"{__name__}._{backbone['type'].rsplit('.RGB', 1)[1].lower()}"}
        for backbone in parts.BACKBONES
    ]
    mixture: nn.Module = modules.MixtureModel(
        [parts.build_deepgaze_mixture(backbone, components=COMPONENTS) for backbone in backbones]
    )
    return mixture


def _deepgaze_one(modules: ModuleType) -> nn.Module:
    readout = nn.Sequential(OrderedDict(conv0=nn.Conv2d(256, 1, 1, bias=False)))
    network: nn.Module = modules.DeepGazeII(
        features=modules.FeatureExtractor(_backbone("alexnet"), ["1.features.10"]),
        readout_network=readout,
        downsample=2,
        readout_factor=4,
        saliency_map_factor=4,
    )
    return network


def _backbone(name: str) -> nn.Sequential:
    import torchvision.models as zoo

    network: Callable[..., nn.Module] = zoo.get_model_builder(name)
    return nn.Sequential(normalisation(255), network(weights=None))


# DeepGaze IIE's backbones, found by the package under these names.
def _shapenetc() -> nn.Sequential:
    normalise, network = _backbone("resnet50")
    return nn.Sequential(normalise, nn.Sequential(OrderedDict(module=network)))


def _efficientnetb5() -> nn.Sequential:
    network = _package("features.efficientnet_pytorch").EfficientNet.from_name("efficientnet-b5")
    return nn.Sequential(normalisation(255), network)


def _densenet201() -> nn.Sequential:
    return _backbone("densenet201")


def _resnext50() -> nn.Sequential:
    return _backbone("resnext50_32x4d")


def _package(module: str) -> ModuleType:
    try:
        return import_module(f"deepgaze_pytorch.{module}")
    except ImportError as error:
        raise UserError(
            f"{WHAT}: the package deepgaze_pytorch cannot be imported ({error}); install it with: "
            "pip install -e '.[deepgaze]', or use model: builtin, which needs no package"
        ) from error


def _centre_bias(source: str) -> Tensor:
    """A log density (H, W), not yet resized. Raises UserError for a file that holds none."""
    if source == "uniform":
        return torch.zeros(1, 1)
    try:
        found = np.load(Path(source), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{WHAT}: centre_bias: {source} cannot be read as .npy ({error})") from error
    fits = isinstance(found, np.ndarray) and found.ndim == 2 and np.issubdtype(found.dtype, np.floating)
    if not (fits and found.size and np.isfinite(found).all()):
        raise UserError(f"{WHAT}: centre_bias: {source} is no finite log density (H, W)")
    return torch.from_numpy(found.astype(np.float32))


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, antialiased where it shrinks: (..., h, w) -> (..., H, W), with a deterministic gradient."""
    old = maps.shape[-2:]
    if old == size:
        return maps
    rows, columns = (_matrix(n, m, maps.dtype, maps.device) for n, m in zip(old, size, strict=True))
    with torch.autocast(maps.device.type, enabled=False):  # it would round to half precision
        return rows @ (maps @ columns.T)


@lru_cache(maxsize=16)
def _matrix(source: int, target: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    # Cached tensors made in inference mode could not be used for gradients later.
    with torch.inference_mode(False), torch.no_grad():
        return resize_matrix(source, target).to(device, dtype)


def _normalised(maps: Tensor) -> Tensor:
    return F.log_softmax(maps.flatten(1), 1).reshape(maps.shape)
