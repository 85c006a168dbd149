"""An ONNX file as a saliency model: with a stand-in for onnxruntime, and with the package where it is."""

from __future__ import annotations

import pickle
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dualperturb.errors import UserError
from dualperturb.saliency import foreground_mask, foreground_score, saliency_model


class Session:
    """Like onnxruntime's: the map is the red channel, with a channel axis; `batch` images at most a run."""

    batch: int | None = None
    answer: Any = None

    def __init__(self, path: str, providers: list[str]) -> None:
        assert providers == ["CPUExecutionProvider"]
        if Path(path).read_bytes() != b"onnx":
            raise RuntimeError("bad\nmodel")

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="image", shape=[self.batch or "n", 3, 40, 40])]

    def run(self, names: None, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        pixels = feeds["image"]
        assert pixels.dtype == np.float32 and pixels.shape[1:] == (3, 40, 40)
        assert self.batch is None or len(pixels) == self.batch
        return [pixels[:, :1] if self.answer is None else self.answer]


class Trap:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=Session))
    (tmp_path / "model.onnx").write_bytes(b"onnx")
    return tmp_path / "model.onnx"


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("batch", [None, 1])
def test_the_map_becomes_a_density(file: Path, monkeypatch: pytest.MonkeyPatch, batch: int | None) -> None:
    monkeypatch.setattr(Session, "batch", batch)
    images = torch.zeros(2, 3, 20, 20)
    images[0, 0, 4:8, 12:16] = 0.5
    images[1, 0, :5] = 1
    log_density = saliency_model("onnx", file=str(file), side=40)(images)
    assert log_density.shape == (2, 20, 20) and log_density.dtype == torch.float32
    assert torch.allclose(log_density.exp().sum((1, 2)), torch.ones(2), atol=1e-5)
    inside = torch.zeros(2, 1, 20, 20, dtype=torch.bool)
    inside[0, 0, 3:9, 11:17], inside[1, 0, :6] = True, True
    assert (foreground_score(log_density, inside) > 0.9).all()
    assert (foreground_mask(log_density) <= inside).all()


def test_an_empty_map_is_a_uniform_density(file: Path) -> None:
    log_density = saliency_model("onnx", file=str(file), side=40)(torch.zeros(1, 3, 8, 8))
    assert torch.allclose(log_density.exp(), torch.full((1, 8, 8), 1 / 64))


def test_a_gradient_is_refused_in_one_line(file: Path) -> None:
    model = saliency_model("onnx", file=str(file), side=40)
    images = noise(1, 3, 20, 20).requires_grad_()
    with pytest.raises(UserError, match="no gradient; .*salience_weight above 0.*builtin or deepgaze"):
        model(images)
    with torch.no_grad():
        assert model(images).isfinite().all()


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.pkl", "model.pt2", "model.ts"])
def test_what_may_run_code_is_refused_unopened(tmp_path: Path, name: str) -> None:
    line = f"file: found '{tmp_path / name}', accepted is .onnx; files that may run code (.pt, .pth, "
    with pytest.raises(UserError, match=re.escape(line)) as caught:
        saliency_model("onnx", file=str(tmp_path / name))
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning", "ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("kind", ["pickle", "torch", "torchscript"])
def test_what_may_run_code_is_refused_under_another_name(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("onnxruntime")
    path, sprung = tmp_path / "model.onnx", tmp_path / "sprung"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Trap(sprung), protocol=2))
    elif kind == "torch":
        torch.save(Trap(sprung), path)
    else:
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path))
    with pytest.raises(UserError, match=r"^saliency model onnx: file: .*\.onnx cannot be read as ONNX"):
        saliency_model("onnx", file=str(path))
    assert not sprung.exists()


def test_absent_or_damaged_files_are_one_line(file: Path) -> None:
    with pytest.raises(UserError, match=r"other\.onnx not found"):
        saliency_model("onnx", file=str(file.with_name("other.onnx")))
    file.write_bytes(b"text")
    with pytest.raises(UserError, match=r"model\.onnx cannot be read as ONNX \(bad model\)"):
        saliency_model("onnx", file=str(file))


def test_without_the_package_one_line_says_how_to_get_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"-e '\.\[onnx\]'.*model: builtin"):
        saliency_model("onnx", file=str(file))


@pytest.mark.parametrize("answer", [np.ones((1, 2, 4, 4)), np.ones((2, 4, 4)), np.full((1, 4, 4), np.nan)])
def test_an_output_that_is_no_map_is_one_line(
    file: Path, monkeypatch: pytest.MonkeyPatch, answer: np.ndarray
) -> None:
    monkeypatch.setattr(Session, "answer", answer)
    with pytest.raises(UserError, match="found an output of shape"):
        saliency_model("onnx", file=str(file), side=40)(noise(1, 3, 8, 8))


def test_contract_of_onnxruntime(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [make.make_node("ReduceMax", ["image"], ["map"], axes=[1], keepdims=1)],
        "brightest",
        [make.make_tensor_value_info("image", kind, ["n", 3, 32, 32])],
        [make.make_tensor_value_info("map", kind, ["n", 1, 32, 32])],
    )
    path = tmp_path / "brightest.onnx"
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 13)], ir_version=8), path)
    images = torch.zeros(2, 3, 32, 32)
    images[:, 1, 10:20, 5:9] = 1
    mask = foreground_mask(saliency_model("onnx", file=str(path), side=32)(images))
    assert torch.equal(mask[:, 0], images[:, 1] > 0)
    with pytest.raises(UserError, match="does not run"):
        saliency_model("onnx", file=str(path), side=48)(images)
    path.write_bytes(b"no model")
    with pytest.raises(UserError, match="cannot be read as ONNX"):
        saliency_model("onnx", file=str(path))
