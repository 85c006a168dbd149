"""Architectures, and classifiers as files: safetensors plus a JSON that says how to rebuild them.

A classifier maps pixels (N, 3, H, W) in [0, 1] to logits (N, classes); the normalisation of pixels is its
first layer, so that budgets always speak of pixels in [0, 1]. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from dualperturb.core.classifiers.networks import build_network, load_pretrained
from dualperturb.errors import REMAKE, UserError
from dualperturb.files import replacing, sha256, write_json

# Channel means and deviations of ImageNet's training images, which pretrained weights expect (torchvision).
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ClassifierSpec:
    """What it takes to rebuild a classifier: the architecture's name and the classes, one per logit."""

    architecture: str
    class_names: tuple[str, ...]


class Normalise(nn.Module):
    """Maps pixels in [0, 1] to zero mean and unit deviation per channel (ImageNet's figures)."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


def build_classifier(spec: ClassifierSpec, weights: str = "none", seed: int = 0) -> nn.Sequential:
    """A classifier with a new last layer for the classes of `spec`.

    weights: "none" (random, from `seed`), "imagenet", or the path of a state dict (.safetensors, or .pth that
    holds tensors alone). Raises UserError for an unknown architecture or for weights that do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = build_network(spec.architecture, len(spec.class_names))
    if weights != "none":
        load_pretrained(network, spec.architecture, weights)
    return nn.Sequential(OrderedDict(normalise=Normalise(), network=network))


def save_classifier(folder: Path, model: nn.Module, spec: ClassifierSpec) -> None:
    """Write `weights.safetensors` and `classifier.json`, which holds the former's SHA-256, into `folder`.

    Each is written whole or not at all.
    """
    weights = folder / "weights.safetensors"
    # Not written straight into the file: on a full disk safetensors would raise an error of its own.
    content = save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    with replacing(weights) as temporary:
        temporary.write_bytes(content)
    write_json(folder / "classifier.json", asdict(spec) | {"sha256": sha256(weights)})


def load_spec(folder: Path) -> ClassifierSpec:
    """Read `classifier.json`. Raises UserError if it is absent or damaged."""
    path = folder / "classifier.json"
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        return ClassifierSpec(described["architecture"], tuple(described["class_names"]))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; train the classifier first (dvc repro)") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a classifier's description ({error!r}); {REMAKE}") from error


def load_classifier(folder: str | Path) -> nn.Module:
    """A saved classifier in eval mode, its parameters frozen.

    folder: such as models/shapes6/at_dual/L2/0, of a finished `train` stage. Raises UserError if its files do
    not fit, or if the weights' checksum is not the one in `classifier.json`, where that holds one.
    """
    model = build_classifier(load_spec(Path(folder)))
    path = Path(folder) / "weights.safetensors"
    try:
        known = json.loads((Path(folder) / "classifier.json").read_text(encoding="utf-8")).get("sha256")
        if known is not None and sha256(path) != known:
            raise UserError(f"{path}: its SHA-256 is not the one in classifier.json; {REMAKE}")
        model.load_state_dict(load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: cannot be loaded ({reason}); {REMAKE}") from error
    return model.eval().requires_grad_(False)
