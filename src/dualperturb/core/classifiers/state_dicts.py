"""State dicts from files: tensors by name, never code."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from dualperturb.errors import UserError

_ACCEPTED = (
    "accepted are named tensors alone, in .safetensors or .pth; "
    "a pickled model or TorchScript may run code and is refused"
)


def read_state_dict(path: Path, key: str, accepted: str) -> dict[str, Tensor]:
    """Tensors by name, on the CPU, from a .safetensors file or from a file of torch that holds nothing else.

    key: the setting that names the file, such as "weights", and accepted: what it may say, both for messages.
    Raises UserError for an absent file and for one that holds anything but named tensors; no code is run.
    """
    if not path.is_file():
        raise UserError(f"{key}: {path} not found; accepted are {accepted}")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _tensors(path)
    except Exception as error:  # damaged files raise many types
        raise UserError(
            f"{key}: {path} holds no plain state dict ({type(error).__name__}); {_ACCEPTED}"
        ) from error
    named = isinstance(state, dict) and all(isinstance(name, str) for name in state)
    if not named or not all(isinstance(value, Tensor) for value in state.values()):
        fault = "holds no plain state dict, but more or other things than named tensors"
        raise UserError(f"{key}: {path} {fault}; {_ACCEPTED}")
    return state


def _tensors(path: Path) -> dict[str, Tensor]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of a TorchScript archive before it refuses it
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state
