from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dualperturb.core.classifiers.state_dicts import read_state_dict
from dualperturb.errors import UserError

STATE = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.steps": torch.tensor(7)}


class Trap:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
def test_tensors_come_back_by_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    save_file(STATE, path) if suffix == ".safetensors" else torch.save(STATE, path)
    found = read_state_dict(path, "weights", "a file")
    assert found.keys() == STATE.keys() and all(torch.equal(found[name], STATE[name]) for name in STATE)


def torch_file(content: Any) -> Callable[[Path, Path], object]:
    return lambda path, sprung: torch.save(content, path)


def truncated(path: Path, sprung: Path) -> None:
    save_file(STATE, path)
    path.write_bytes(path.read_bytes()[:-4])


def torchscript(path: Path, sprung: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates TorchScript
        torch.jit.save(torch.jit.script(nn.Linear(2, 2)), str(path))


NO_STATE_DICTS: dict[str, Callable[[Path, Path], object]] = {
    "pickle": lambda path, sprung: path.write_bytes(pickle.dumps(Trap(sprung), protocol=2)),
    "trap": lambda path, sprung: torch.save(Trap(sprung), path),
    "trap among tensors": lambda path, sprung: torch.save({**STATE, "more": Trap(sprung)}, path),
    "model": torch_file(nn.Linear(2, 2)),
    "nested": torch_file({"state_dict": STATE, "epoch": 3}),
    "tensor": torch_file(torch.ones(1)),
    "numbered": torch_file({1: torch.ones(1)}),
    "torchscript": torchscript,
    "empty": lambda path, sprung: path.touch(),
    "text": lambda path, sprung: path.write_text("hello"),
}


@pytest.mark.parametrize("kind", NO_STATE_DICTS)
def test_a_file_that_is_no_state_dict_is_refused_and_never_run(
    tmp_path: Path, recwarn: pytest.WarningsRecorder, kind: str
) -> None:
    path, sprung = tmp_path / "weights.pth", tmp_path / "sprung"
    NO_STATE_DICTS[kind](path, sprung)
    recwarn.clear()
    with pytest.raises(UserError) as caught:
        read_state_dict(path, "train.x.weights", "none or a file")
    line = str(caught.value)
    assert line.startswith(f"train.x.weights: {path} holds no plain state dict") and "\n" not in line
    assert line.endswith(
        "; accepted are named tensors alone, in .safetensors or .pth; a pickled model or TorchScript may run "
        "code and is refused"
    )
    assert not sprung.exists() and not recwarn.list


def test_a_truncated_safetensors_file_is_refused(tmp_path: Path) -> None:
    truncated(tmp_path / "weights.safetensors", tmp_path)
    with pytest.raises(UserError, match=r"weights\.safetensors holds no plain state dict \(Safe"):
        read_state_dict(tmp_path / "weights.safetensors", "weights", "a file")


@pytest.mark.parametrize("folder", [True, False])
def test_an_absent_file_or_a_folder_is_told_with_what_is_accepted(tmp_path: Path, folder: bool) -> None:
    path = tmp_path / "weights.pth"
    if folder:
        path.mkdir()
    with pytest.raises(UserError, match=rf"^weights: {path} not found; accepted are none or a file$"):
        read_state_dict(path, "weights", "none or a file")
