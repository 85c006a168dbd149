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

from dualperturb.errors import UserError
from dualperturb.images import load_foreground, write_meta, write_split
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
    params["evaluate"]["shapes6"].update(n=2, examples=[0, 1])
    params["masks"]["shapes6"].update(changes)
    (folder / "params.yaml").write_text(json.dumps(params))
    masks.main("shapes6")
    summary: dict[str, Any] = json.loads((folder / "reports/masks/shapes6.json").read_text())
    return summary


def segmentation(**changes: Any) -> dict[str, Any]:
    return {"network": NETWORK, "weights": "network.pth", "side": 32, **changes}


def test_masks_from_a_segmentation_network(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = run(project, source="segmentation", segmentation=segmentation(fallback="center"))
    assert (summary["source"], summary["test"]["not_found"]) == ("segmentation", 4)
    assert summary["train"]["not_found_first"] == [0, 1, 2, 3]
    assert "shapes6 test: no object found in 4 images, which got the fallback" in capsys.readouterr().out
    box = np.zeros((16, 16), dtype=np.bool_)
    box[4:12, 4:12] = True
    assert (load_foreground(project / "data/masks/shapes6", "test") == box).all()


def test_the_other_fallback_is_the_saliency_models_mask(project: Path) -> None:
    run(project, source="segmentation", segmentation=segmentation())
    fallback = np.array(load_foreground(project / "data/masks/shapes6", "test"))
    run(project, source="saliency")
    assert np.array_equal(fallback, load_foreground(project / "data/masks/shapes6", "test"))


def test_a_class_without_a_category_is_one_line(project: Path) -> None:
    with pytest.raises(UserError, match=r"^masks\.shapes6\.segmentation\.classes: missing class 'cat'"):
        run(project, source="segmentation", segmentation=segmentation(classes={"dog": "dog"}))


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
