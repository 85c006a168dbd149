"""ONNX files as saliency models: tiny graphs that are run by onnxruntime and converted by onnx2torch."""

from __future__ import annotations

import pickle
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dualperturb import L2, Dual, pgd
from dualperturb.errors import UserError
from dualperturb.saliency import foreground_mask, foreground_score, saliency_model

INSTALL = "pip install -c constraints.txt -e '.[onnx-gradient]'"
for package in ("onnx", "onnxruntime", "onnx2torch"):
    pytest.importorskip(package, reason=INSTALL)

from tests.onnx_graphs import HALF, SIDE, half_precision, node, red_channel, write  # noqa: E402


class Trap:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def density(path: Path, images: Tensor, **options: Any) -> Tensor:
    return saliency_model("onnx", file=str(path), **options)(images)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("batch", ["n", 1])
def test_the_map_becomes_a_density(path: Path, batch: str | int, gradient: bool) -> None:
    red_channel(path, shape=(batch, 3, SIDE, SIDE))
    images = torch.zeros(2, 3, 20, 20)
    images[0, 0, 4:8, 12:16] = 0.5
    images[1, 0, :5] = 1
    log_density = density(path, images, gradient=gradient)
    assert log_density.shape == (2, 20, 20) and log_density.dtype == torch.float32
    assert torch.allclose(log_density.exp().sum((1, 2)), torch.ones(2), atol=1e-5)
    inside = torch.zeros(2, 1, 20, 20, dtype=torch.bool)
    inside[0, 0, 3:9, 11:17], inside[1, 0, :6] = True, True
    assert (foreground_score(log_density, inside) > 0.9).all()
    assert (foreground_mask(log_density) <= inside).all()


def test_an_empty_map_is_a_uniform_density(path: Path) -> None:
    log_density = density(red_channel(path), torch.zeros(1, 3, 8, 8))
    assert torch.allclose(log_density.exp(), torch.full((1, 8, 8), 1 / 64))


def test_the_graph_is_shown_normalised_pixels(path: Path) -> None:
    images, mean, std = noise(1, 3, SIDE, SIDE), (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    write(path, [node("ReduceMax", ["image"], ["map"], axes=[1], keepdims=1)])
    shown = (images - torch.tensor(mean).reshape(3, 1, 1)) / torch.tensor(std).reshape(3, 1, 1)
    expected = shown.amax(1).flatten(1).log_softmax(1).reshape(1, SIDE, SIDE)
    found = density(path, images, mean=mean, std=std, scores="log_density")
    assert torch.allclose(found, expected, atol=1e-5)
    grey = density(path, images, mean=0.5, std=0.5, scores="log_density")
    assert torch.allclose(
        grey, (2 * images.amax(1)).flatten(1).log_softmax(1).reshape(1, SIDE, SIDE), atol=1e-5
    )


def test_logits_are_the_map_before_its_sigmoid(path: Path) -> None:
    images = noise(2, 3, SIDE, SIDE)
    logits = density(red_channel(path, weight=-7.0), images, scores="logits")
    kernel = np.array([-7, 0, 0], dtype=np.float32).reshape(1, 3, 1, 1)
    nodes = [node("Conv", ["image", "w"], ["z"]), node("Sigmoid", ["z"], ["map"])]
    assert torch.allclose(logits, density(write(path, nodes, weights={"w": kernel}), images), atol=1e-5)


def test_of_twelve_outputs_one_alone_is_computed(path: Path) -> None:
    """Every other output fails where it is computed: it reshapes the image to a size that it has not."""
    names = [f"side{i}" for i in range(11)]
    nodes = [node("Reshape", ["image", "size"], [name]) for name in names]
    nodes.append(node("ReduceMax", ["image"], ["map"], axes=[1], keepdims=1))
    write(path, nodes, [*names, "map"], weights={"size": np.array([7, 7])})
    images = noise(1, 3, SIDE, SIDE)
    assert torch.equal(density(path, images, output="map"), density(path, images, output=11))
    with pytest.raises(UserError, match="does not run"):
        density(path, images)
    for wrong in ("other", 12, -1):
        with pytest.raises(
            UserError, match=rf"output: found {wrong!r}; accepted: a number from 0 to 11.*side3"
        ):
            density(path, images, output=wrong)


@pytest.mark.parametrize("scores", ["map", "logits", "log_density"])
def test_the_gradient_is_that_of_the_density(path: Path, scores: str) -> None:
    model = saliency_model("onnx", file=str(red_channel(path, 3.0)), scores=scores, gradient=True)
    image = noise(1, 3, SIDE, SIDE).requires_grad_()
    mask = torch.zeros(1, 1, SIDE, SIDE, dtype=torch.bool)
    mask[..., :5] = True

    def score(images: Tensor) -> Tensor:
        return foreground_score(model(images), mask).sum()

    (slope,) = torch.autograd.grad(score(image), image)
    along, step = slope / slope.norm(), 0.02
    with torch.no_grad():
        difference = (score(image + step * along) - score(image - step * along)) / (2 * step)
    assert slope.norm() > 1e-3
    assert float(difference) == pytest.approx(float(slope.norm()), rel=0.02)


def test_half_precision_with_its_casts_at_the_end_is_climbed(path: Path) -> None:
    half_precision(path)
    images = noise(3, 3, SIDE, SIDE)
    model = saliency_model("onnx", file=str(path), mean=0.5, gradient=True)
    assert torch.allclose(model(images), density(path, images, mean=0.5), atol=5e-3)
    mask = foreground_mask(model(images))
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * SIDE * SIDE, 2)).eval()
    labels, climbed = torch.zeros(3, dtype=torch.int64), {"saliency": model, "salience_weight": 1000.0}
    found = pgd(network, images, labels, Dual(L2(0.5), L2(2.0), mask), steps=5, step_size=0.5, **climbed)
    attacked = getattr(found, "images", found)
    assert (foreground_score(model(attacked), mask) > foreground_score(model(images), mask) + 0.01).all()


def test_a_gradient_is_refused_in_one_line_where_none_was_asked_for(path: Path) -> None:
    model = saliency_model("onnx", file=str(red_channel(path)))
    images = noise(1, 3, 20, 20).requires_grad_()
    with pytest.raises(UserError, match="no gradient; .*salience_weight above 0 .*gradient: true.*deepgaze"):
        model(images)
    with torch.no_grad():
        assert model(images).isfinite().all()


def test_what_cannot_be_climbed_is_refused_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        node("DynamicQuantizeLinear", ["image"], ["q", "scale", "zero"]),
        node("Cast", ["q"], ["map"], to=1),
    ]
    with pytest.raises(UserError, match="cannot convert the graph.*DynamicQuantizeLinear.*not quantised"):
        saliency_model("onnx", file=str(write(path, nodes)), gradient=True)
    nodes = [node("ArgMax", ["image"], ["most"], axis=1), node("Cast", ["most"], ["map"], to=1)]
    with pytest.raises(UserError, match="does not depend smoothly"):
        saliency_model("onnx", file=str(write(path, nodes)), gradient=True)
    import onnx2torch

    wrong = torch.nn.Conv2d(3, 1, 1)
    monkeypatch.setattr(onnx2torch, "convert", lambda model: wrong)
    with pytest.raises(
        UserError, match=r"differs from the file's by .*without gradient the file can be used"
    ):
        saliency_model("onnx", file=str(red_channel(path)), gradient=True)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"shape": ("n", SIDE, SIDE, 3)}, "this one holds its channels last"),
        ({"shape": (4, 3, SIDE, SIDE)}, "N free or 1"),
        ({"shape": (1, 3, SIDE, 8)}, "accepted: (N, 3, S, S)"),
        ({"shape": (3, SIDE, SIDE)}, "accepted: (N, 3, S, S)"),
        ({"inputs": ("image", "other")}, "accepted: one, float32"),
        ({"kind": HALF}, "tensor(float16)"),
    ],
)
def test_inputs_that_are_no_batch_of_images_are_one_line(
    path: Path, options: dict[str, Any], found: str
) -> None:
    names = options.get("inputs", ("image",))
    nodes = [node("Max", names, ["all"]), node("Cast", ["all"], ["map"], to=1)]
    with pytest.raises(UserError, match=re.escape(found)) as caught:
        saliency_model("onnx", file=str(write(path, nodes, **options)))
    assert "\n" not in str(caught.value)


def test_the_side_is_the_files_own(path: Path) -> None:
    red_channel(path)
    with pytest.raises(UserError, match=f"side: found 48; accepted: {SIDE}, the file's own"):
        saliency_model("onnx", file=str(path), side=48)
    red_channel(path, shape=("n", 3, "h", "w"))
    assert density(path, noise(1, 3, 8, 8), side=24).shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"scores": "odds"}, "accepted: map, logits"),
        ({"std": 0.0}, "above 0"),
        ({"mean": (0.1, 0.2)}, "or three"),
    ],
)
def test_options_of_another_kind_are_one_line(path: Path, options: dict[str, Any], found: str) -> None:
    with pytest.raises(UserError, match=found):
        saliency_model("onnx", file=str(red_channel(path)), **options)


def test_an_output_that_is_no_map_is_one_line(path: Path) -> None:
    two = write(path, [node("Concat", ["image", "image"], ["map"], axis=1)])
    with pytest.raises(UserError, match=r"found \(1, 6, 16, 16\) for 1 images; accepted: \(N, H, W\)"):
        density(two, noise(1, 3, 8, 8))
    nodes = [node("ReduceMin", ["image"], ["least"], axes=[1]), node("Log", ["least"], ["map"])]
    with pytest.raises(UserError, match="values that are not finite"):
        density(write(path, nodes), torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.pkl", "model.pt2", "model.ts"])
def test_what_may_run_code_is_refused_unopened(tmp_path: Path, name: str) -> None:
    line = f"file: found '{tmp_path / name}', accepted is .onnx; files that may run code (.pt, .pth, "
    with pytest.raises(UserError, match=re.escape(line)) as caught:
        saliency_model("onnx", file=str(tmp_path / name))
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning", "ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("kind", ["pickle", "torch", "torchscript", "text", "empty"])
def test_what_is_no_onnx_is_refused_under_that_name(path: Path, kind: str) -> None:
    sprung = path.with_name("sprung")
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Trap(sprung), protocol=2))
    elif kind == "torch":
        torch.save(Trap(sprung), path)
    elif kind == "torchscript":
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path))
    else:
        path.write_bytes(b"" if kind == "empty" else b"no model")
    with pytest.raises(
        UserError, match=r"^saliency model onnx: file: .*\.onnx cannot be read as ONNX"
    ) as caught:
        saliency_model("onnx", file=str(path))
    assert "\n" not in str(caught.value) and not sprung.exists()


def test_weights_beside_the_file_are_read_and_missed(path: Path) -> None:
    images = noise(1, 3, SIDE, SIDE)
    beside = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0}
    assert torch.equal(density(red_channel(path, **beside), images), density(red_channel(path), images))
    red_channel(path, **beside)
    path.with_name("weights.bin").unlink()
    with pytest.raises(UserError, match="cannot be read as ONNX .*weights.bin"):
        saliency_model("onnx", file=str(path))


def test_an_absent_file_is_one_line(path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.onnx not found"):
        saliency_model("onnx", file=str(path))


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnx2torch"])
def test_without_a_package_one_line_says_how_to_get_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    red_channel(path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"the package {package} is missing: pip install .*-e '\.\[onnx"):
        saliency_model("onnx", file=str(path), gradient=True)
