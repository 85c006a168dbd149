"""Weights of learned saliency and segmentation models: tensors by name, never code."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from dualperturb.core.classifiers.state_dicts import read_state_dict
from dualperturb.errors import UserError

# Channel means and deviations of ImageNet's training images, which the networks expect (torchvision).
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalisation(largest: float) -> nn.Module:
    """Maps pixels in [0, largest] to zero mean and unit deviation per channel; its state dict is empty."""
    return _Normalisation(largest)


class _Normalisation(nn.Module):
    """Like torchvision's Normalize, but that one copies its numbers to the device at every pass and waits."""

    mean: Tensor
    std: Tensor

    def __init__(self, largest: float) -> None:
        super().__init__()
        for name, values in (("mean", _MEAN), ("std", _STD)):
            numbers = torch.tensor([largest * value for value in values]).reshape(3, 1, 1)
            self.register_buffer(name, numbers, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean).div_(self.std)


def load_weights(network: nn.Module, weights: str, url: str, what: str) -> None:
    """Fill a network and freeze it in eval mode.

    weights: "download" (from `url`) or a file (.safetensors, or .pth that holds tensors alone); what: the
    model that a message names. Raises UserError if there are no weights, or if they do not fit.
    """
    if weights == "download":
        state = _downloaded(url, what)
    else:
        state = read_state_dict(Path(weights), f"{what}: weights", "download and a file")
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError) as error:
        first = " ".join(str(error).split())[:160]
        raise UserError(f"{what}: weights: {weights} does not fit the model ({first})") from error
    network.requires_grad_(False)
    network.eval()


def _downloaded(url: str, what: str) -> dict[str, Tensor]:
    try:
        state: dict[str, Tensor] = torch.hub.load_state_dict_from_url(
            url, map_location="cpu", progress=sys.stderr.isatty(), check_hash=True, weights_only=True
        )
    except Exception as error:  # network, disk and damaged files raise many types
        reason = " ".join(str(error).split())[:120]
        raise UserError(
            f"{what}: weights: download of {url} failed ({reason}); fetch that file elsewhere and name it as "
            "weights: PATH, or use model: builtin, which needs none"
        ) from error
    return state
