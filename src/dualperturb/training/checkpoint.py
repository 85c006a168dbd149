"""Checkpoints of a training run: tensors and plain numbers, never unpickled as objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from dualperturb.errors import UserError
from dualperturb.files import replacing


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    history: list[dict[str, Any]],
) -> None:
    """Replace the file at `path`, atomically: a run killed meanwhile finds the one before."""
    state = {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": {key: value for key, value in schedule.state_dict().items() if _is_plain(value)},
        "history": history,
    }
    with replacing(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(
    path: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> list[dict[str, Any]]:
    """Put the checkpoint's state into the three objects; return its history.

    Raises UserError if the file is damaged or of another classifier.
    """
    state = _read(path)
    try:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
    # A damaged file that can be read holds anything: AttributeError, TypeError and others.
    except Exception as error:
        raise _unusable(path, error) from error
    history: list[dict[str, Any]] = state["history"]
    return history


def epochs_done(path: Path) -> int:
    """Epochs that the checkpoint at `path` holds, 0 without a file. Raises UserError if it is damaged."""
    return len(_read(path)["history"]) if path.exists() else 0


def _read(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # A damaged file may ask for any of torch's functions with any arguments: of 110,000 damaged at random
    # those refused raised twelve types in all, and nothing says that there are no more.
    except Exception as error:
        raise _unusable(path, error) from error
    if not isinstance(state, dict) or not isinstance(state.get("history"), list):
        raise _unusable(path, KeyError("history"))
    return state


def _unusable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: not a checkpoint of this training ({type(error).__name__}); remove it")


def _is_plain(value: object) -> bool:
    """Numbers and lists of them; a schedule's own functions stay as they were built."""
    return isinstance(value, bool | int | float | list | None)
