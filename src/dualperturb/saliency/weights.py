"""Weights of learned saliency and segmentation models: tensors by name, never code."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dualperturb.errors import UserError


def load_weights(network: nn.Module, weights: str, url: str, what: str) -> None:
    """Fill a network and freeze it in eval mode.

    weights: "download" (from `url`) or a file (.safetensors, or .pth that holds tensors alone); what: the
    model that a message names. Raises UserError if there are no weights, or if they do not fit.
    """
    state = _downloaded(url, what) if weights == "download" else _from_file(Path(weights), what)
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
            url, map_location="cpu", progress=sys.stderr.isatty(), weights_only=True
        )
    except Exception as error:  # network, disk and damaged files raise many types
        reason = " ".join(str(error).split())[:120]
        raise UserError(
            f"{what}: weights: download of {url} failed ({reason}); fetch that file elsewhere and name it as "
            "weights: PATH, or use model: builtin, which needs none"
        ) from error
    return state


def _from_file(path: Path, what: str) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{what}: weights: {path} not found; accepted are download and a file")
    try:
        safe = path.suffix == ".safetensors"
        state = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files raise many types
        raise UserError(
            f"{what}: weights: {path} holds no plain state dict ({type(error).__name__})"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{what}: weights: {path} holds more or other things than named tensors")
    return state
