"""Checkpoints of a training run: tensors and plain numbers, never unpickled as objects.

A file is one line of text with the epochs done and a SHA-256, followed by what torch wrote. The SHA-256 is
needed because torch itself does not notice a changed bit.
"""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dualperturb.errors import UserError
from dualperturb.files import replacing

_HEADER = "dualperturb checkpoint, epochs done: {}, SHA-256: {}"
_KNOWN = re.compile(_HEADER.format(r"(?P<epochs>\d+)", "(?P<sha256>[0-9a-f]{64})").encode())


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    history: list[dict[str, Any]],
) -> None:
    """Replace the file at `path` atomically: a run killed meanwhile finds the previous file."""
    state = {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": {key: value for key, value in schedule.state_dict().items() if _is_plain(value)},
        "history": history,
    }
    # Not written straight into the file: on a full disk torch would raise an error of its own.
    body = io.BytesIO()
    torch.save(state, body)
    header = _HEADER.format(len(history), hashlib.sha256(body.getvalue()).hexdigest())
    with replacing(path) as temporary:
        temporary.write_bytes(header.encode() + b"\n" + body.getvalue())


def load_checkpoint(
    path: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> list[dict[str, Any]]:
    """Put the checkpoint's state into the three objects; return its history.

    Raises UserError if the file is damaged or of another classifier.
    """
    state = read_checkpoint(path)
    try:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
    # A damaged file that can be read may hold anything: AttributeError, TypeError and others follow.
    except Exception as error:
        raise _unusable(path, type(error).__name__) from error
    history: list[dict[str, Any]] = state["history"]
    return history


def epochs_done(path: Path) -> int:
    """Epochs that the checkpoint at `path` holds, 0 without a file. Raises UserError if it is damaged."""
    return len(read_checkpoint(path)["history"]) if path.exists() else 0


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The state as it was saved: model, optimiser, schedule, history. Raises UserError if it is damaged."""
    header, _, body = path.read_bytes().partition(b"\n")
    known = _KNOWN.fullmatch(header)
    if known is None or hashlib.sha256(body).hexdigest().encode() != known["sha256"]:
        raise _unusable(path, "its checksum is another")
    try:
        state = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    # Another program's file may ask for any of torch's functions with any arguments. Of 110,000 files damaged
    # at random, the refused ones raised twelve types of error, and there may be more.
    except Exception as error:
        raise _unusable(path, type(error).__name__) from error
    if not isinstance(state, dict) or not isinstance(state.get("history"), list):
        raise _unusable(path, "KeyError")
    return state


def _unusable(path: Path, reason: str) -> UserError:
    """The error says what removing the file costs, as far as the file's first line can still tell."""
    with path.open("rb") as file:
        known = _KNOWN.fullmatch(file.readline(200).rstrip(b"\n"))
    lost = f"the {int(known['epochs'])} epochs that it held" if known else "what it held"
    return UserError(
        f"{path}: damaged, or not a checkpoint of this training ({reason}); remove it: {lost} will be "
        "trained again"
    )


def _is_plain(value: object) -> bool:
    """Numbers and lists of them; a schedule's own functions stay as they were built."""
    return isinstance(value, bool | int | float | list | None)
