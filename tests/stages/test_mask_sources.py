"""The masks stage with a segmentation network, and with the saliency models that need no package."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.models as zoo
from PIL import Image
from ruamel.yaml import YAML
from torch import Tensor, nn

from dualperturb.core.images import load_foreground, write_meta, write_split
from dualperturb.errors import UserError
from dualperturb.params.masks import Masks
from dualperturb.saliency import deepgaze, segmentation
from stages import masks

SHIPPED = YAML(typ="safe", pure=True).load(
    (Path(__file__).resolve().parents[2] / "params.yaml").read_text(encoding="utf-8")
)
NETWORK = "lraspp_mobilenet_v3_large"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prepared shapes6 of two classes, four images a split, and a random segmentation network."""
    folder, random = tmp_path / "data/prepared/shapes6", np.random.default_rng(0)
    splits = {}
    for split in ("train", "test"):
        rows = [(random.integers(0, 256, (3, 16, 16), dtype=np.uint8), i % 2, None) for i in range(4)]
        splits[split] = write_split(folder, split, 16, rows)
    write_meta(folder, class_names=["dog", "cat"], splits=splits)
    torch.manual_seed(0)
    network = zoo.get_model_builder(NETWORK)(weights=None, weights_backbone=None, num_classes=21)
    # Everything is background: no object is ever found.
    with torch.no_grad():
        network.classifier.low_classifier.bias[0] = 1e3
    torch.save(network.state_dict(), tmp_path / "network.pth")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, **changes: Any) -> dict[str, Any]:
    params = copy.deepcopy(SHIPPED)
    params["datasets"] = ["shapes6"]
    params["shapes6"]["evaluate"] = params["folder"]["evaluate"] | {"n": 2, "examples": [0, 1]}
    # A model without a gradient is refused with other weights and bounds.
    params["shapes6"]["evaluate"]["salience_weights"] = [0]
    params["shapes6"]["evaluate"]["unsuspicious"] |= {"salience_weight": 0, "bounds": []}
    params["figures"]["fig1"] |= {"salience_weights": [0], "min_foreground_score": 0}
    params["shapes6"]["masks"].update(changes)
    (folder / "params.yaml").write_text(json.dumps(params))
    masks.main("shapes6")
    summary: dict[str, Any] = json.loads((folder / "reports/masks/shapes6.json").read_text())
    return summary


def segmented(**changes: Any) -> dict[str, Any]:
    return {"network": NETWORK, "weights": "network.pth", "side": 32, **changes}


def test_masks_from_a_segmentation_network(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = run(project, source="segmentation", segmentation=segmented(fallback="center"))
    assert (summary["source"], summary["test"]["not_found"]) == ("segmentation", 4)
    assert summary["train"]["not_found_first"] == [0, 1, 2, 3]
    assert "shapes6 test: no object found in 4 images, which got the fallback" in capsys.readouterr().out
    box = np.zeros((16, 16), dtype=np.bool_)
    box[4:12, 4:12] = True
    assert (load_foreground(project / "data/masks/shapes6", "test") == box).all()


def test_the_other_fallback_is_the_saliency_models_mask(project: Path) -> None:
    run(project, source="segmentation", segmentation=segmented())
    fallback = np.array(load_foreground(project / "data/masks/shapes6", "test"))
    run(project, source="saliency")
    assert np.array_equal(fallback, load_foreground(project / "data/masks/shapes6", "test"))


def test_a_class_without_a_category_is_one_line(project: Path) -> None:
    with pytest.raises(UserError, match=r"^shapes6\.masks\.segmentation\.classes: missing class 'cat'"):
        run(project, source="segmentation", segmentation=segmented(classes={"dog": "dog"}))


def test_summary_and_sheet_are_of_the_model_named_and_the_same_each_time(project: Path) -> None:
    first = run(project, source="saliency", model="center")
    files = ["data/masks/shapes6/test.log_density.npy", "reports/masks/shapes6.png"]
    before = [(project / file).read_bytes() for file in files]
    assert run(project, source="saliency", model={"name": "center"}) == first
    assert [(project / file).read_bytes() for file in files] == before
    assert first["model"] == "center" and first["test"]["empty"] == 0
    with Image.open(project / "reports/masks/shapes6.png") as sheet:
        assert (np.asarray(sheet) == (255, 0, 255)).all(axis=2).any()
    assert run(project, source="saliency", model="builtin") != first


def test_a_model_that_cannot_be_had_leaves_the_earlier_masks(project: Path) -> None:
    run(project, source="saliency")
    before = (project / "data/masks/shapes6/test.foreground.npy").read_bytes()
    with pytest.raises(UserError, match=r"^saliency model onnx: file: .* not found"):
        run(project, source="saliency", model={"name": "onnx", "file": "u2net.onnx"})
    assert (project / "data/masks/shapes6/test.foreground.npy").read_bytes() == before


def test_the_segmentation_network_is_built_once_a_stage(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build, built = segmentation.segmentation_network, []
    monkeypatch.setattr(
        segmentation, "segmentation_network", lambda chosen: built.append(chosen) or build(chosen)
    )
    run(project, source="segmentation", segmentation=segmented())
    assert len(built) == 1


@pytest.mark.parametrize(
    ("changes", "outside"),
    [
        ({"source": "saliency", "model": "builtin", "segmentation": segmented()}, []),
        ({"source": "segmentation", "segmentation": segmented()}, ["network.pth"]),
        ({"source": "segmentation", "segmentation": segmented(weights="data/raw/shapes6/network.pth")}, []),
        ({"model": {"name": "onnx", "file": "data/raw/shapes6/../other/u2net.onnx"}}, ["other/u2net.onnx"]),
        ({"model": {"name": "onnx", "file": "data/raw/shapes6/u2net.onnx"}}, []),
        (
            {"model": {"name": "deepgaze", "weights": "/gaze.pth", "centre_bias": "bias.npy"}},
            ["/gaze.pth", "bias.npy"],
        ),
        ({"model": {"name": "deepgaze", "weights": "download", "centre_bias": "uniform"}}, []),
    ],
)
def test_files_that_dvc_does_not_see_change_are_named(
    capsys: pytest.CaptureFixture[str], changes: dict[str, Any], outside: list[str]
) -> None:
    masks.warn_of_unseen_files("shapes6", Masks.model_validate(SHIPPED["shapes6"]["masks"] | changes))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(outside)
    for line, name in zip(lines, outside, strict=True):
        assert line.startswith("shapes6: DVC does not notice when ") and f"{name} changes: keep it in" in line
        assert line.endswith("keep it in data/raw/shapes6, or run dvc repro -f masks@shapes6 after a change")


class DeepGazeStandIn(nn.Module):
    """Has the signature of deepgaze_pytorch's networks."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.02))

    def forward(self, image: Tensor, centerbias: Tensor) -> Tensor:
        return self.weight * image.mean(1) + centerbias


SOURCES: dict[str, dict[str, Any]] = {
    "builtin": {"source": "saliency", "model": "builtin"},
    "center": {"source": "saliency", "model": "center"},
    "deepgaze": {
        "source": "saliency",
        "model": {"name": "deepgaze", "weights": "deepgaze.pth", "side": 32},
    },
    "onnx": {"source": "saliency", "model": {"name": "onnx", "file": "model.onnx"}},
    "segmentation": {"source": "segmentation", "segmentation": segmented(weights="varied.pth")},
}


def written(folder: Path) -> dict[str, bytes]:
    files = [path for part in ("data/masks", "reports/masks") for path in (folder / part).rglob("*.*")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", SOURCES)
def test_the_stage_writes_the_same_bytes_again(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(deepgaze, "build_network", DeepGazeStandIn)
    torch.save(DeepGazeStandIn("IIE").state_dict(), project / "deepgaze.pth")
    if name == "onnx":
        pytest.importorskip("onnxruntime")
        pytest.importorskip("onnx")
        from tests.onnx_graphs import red_channel

        red_channel(project / "model.onnx")
    state = torch.load(project / "network.pth", weights_only=True)
    state["classifier.low_classifier.bias"].zero_()
    state["classifier.low_classifier.weight"].normal_(generator=torch.Generator().manual_seed(0))
    torch.save(state, project / "varied.pth")
    first = run(project, **SOURCES[name])
    before = written(project)
    torch.rand(1)  # nothing may depend on the global stream
    assert run(project, **SOURCES[name]) == first
    assert len(before) == 6 and written(project) == before
    assert 0 < first["test"]["foreground_fraction_mean"] < 1
    assert first["test"].get("not_found", 0) < 4
