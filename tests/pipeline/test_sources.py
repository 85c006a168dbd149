"""The whole chain with masks from a segmentation network; masks of STL-10 from files, of Segment-6 its own.

One data set that is added leaves the others' results alone; one that is dropped from `datasets` leaves no
trace in the report, whatever still lies on disk.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.models as zoo
from PIL import Image

from dualperturb.report.settings import mask_text
from stages.report import mask_summary
from tests.pipeline.folder_set import CLASSES, COUNTS, TINY_FOLDER, write_photos
from tests.pipeline.once import made_once
from tests.pipeline.stl10_set import write_stl10
from tests.pipeline.test_dependencies import BOUNDS, BUDGETS, NEVER_LISTED, PACKAGES, listed
from tests.pipeline.workspace import PROGRAMS, REPRO, Workspace

FIRST, ADDED = "shapes6", "folder"
WORDS = (ADDED, *CLASSES)  # what tells of the added data set
REPORTS = ("index.html", "report.md", "results.csv", "claims.csv", "metrics.json", "curves")
NETWORK, WEIGHTS = "lraspp_mobilenet_v3_large", "data/raw/folder/network.pth"
BIRD, CAT = 3, 8  # VOC categories
MODEL = {"model": "builtin", "threshold": "log", "batch_size": 3}
FILES = {"stl10.masks.source": "files", "stl10.masks.files.missing": "background"}
MADE = {"stl10": [0.25] * 9 + [0], "segment6": [0.25] * 6}  # shares of the test images
MASKS: dict[str, Any] = {
    "folder.masks": {
        **MODEL,
        "source": "segmentation",
        "segmentation": {
            "network": NETWORK,
            "weights": WEIGHTS,
            "side": 64,
            "classes": dict(zip(CLASSES, ("bird", "cat"), strict=True)),
            "fallback": "center",
        },
    },
}


def tiny(dataset: str) -> dict[str, Any]:
    own = {key: value for key, value in TINY_FOLDER.items() if not key.startswith("folder.data.")}
    return {key.replace("folder.", f"{dataset}.", 1): value for key, value in own.items()}


def write_mask(path: Path, rows: int, side: int) -> None:
    """The first `rows` rows are foreground."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((side, side), np.uint8)
    pixels[:rows] = 255
    Image.fromarray(pixels).save(path)


def write_stl10_masks(root: Path) -> None:
    """One a training image; the last test image has none."""
    for split, count in (("train", 10), ("test", 9)):
        for index in range(count):
            write_mask(root / "masks" / split / f"{index:05d}.png", 24, 96)


def write_segment6(root: Path) -> None:
    """Two images of noise a class for training and one for the test, with masks of a quarter of the image."""
    rng, rows = np.random.default_rng(0), ["file,class,partition"]
    (root / "images").mkdir(parents=True, exist_ok=True)
    for label in ("train", "bird", "cat", "dog", "toilet", "clock"):
        for partition, number in (("train", 0), ("train", 1), ("test", 2)):
            name = f"{label}_{number}.png"
            pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "images" / name)
            write_mask(root / "masks" / name, 8, 32)
            rows.append(f"{name},{label},{partition}")
    (root / "partitions.csv").write_text("\n".join(rows) + "\n")


def write_network(path: Path, category: int) -> None:
    """Weights of a network that sees one VOC category everywhere."""
    network = zoo.get_model_builder(NETWORK)(weights=None, weights_backbone=None, num_classes=21)
    state = {name: torch.zeros_like(values) for name, values in network.state_dict().items()}
    state["classifier.low_classifier.bias"][category] = 1
    torch.save(state, path)


def summary(workspace: Workspace, dataset: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((workspace.root / f"reports/masks/{dataset}.json").read_text())
    return found


def report_files(root: Path) -> list[Path]:
    found = [root / "reports" / name for name in REPORTS]
    return [
        file for path in found for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()
    ]


def naming(root: Path) -> list[str]:
    """The report's files that hold one of the words, or have one in their name."""
    return sorted(
        str(file.relative_to(root))
        for file in report_files(root)
        if any(word in file.name or word in file.read_text() for word in WORDS)
    )


def metrics(root: Path) -> set[str]:
    """The data sets that have metrics."""
    return set(json.loads((root / "reports/metrics.json").read_text()))


def foreground_shares(workspace: Workspace, dataset: str) -> list[float]:
    masks = np.load(workspace.root / f"data/masks/{dataset}/test.foreground.npy", allow_pickle=False)
    shares: list[float] = masks.mean(axis=(1, 2, 3)).tolist()
    return shares


def run_chain(complete: Workspace, home: Path, warm: Path) -> None:
    """`dvc repro` with the added data set, too; home/told.json tells what came of it."""
    told = {"naming": naming(complete.root), "metrics": sorted(metrics(complete.root))}
    workspace = complete.copy(home / "chain", warm)
    write_photos(workspace.root / "data/raw/folder")
    write_network(workspace.root / WEIGHTS, BIRD)
    workspace.change(TINY_FOLDER | MASKS | {"datasets": [ADDED, FIRST]})
    added = workspace.repro().check()
    told |= {"text": added.text, "added": added.stages}
    (home / "told.json").write_text(json.dumps(told))


@pytest.fixture(scope="session")
def chain(
    complete: Workspace, warm: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workspace, dict[str, Any]]:
    """The clone after the run, and what it told. For reading: copy it to change something."""
    home = made_once(tmp_path_factory, "sources", lambda home: run_chain(complete, home, warm))
    return Workspace(home / "chain", warm), json.loads((home / "told.json").read_text())


def test_the_chain_ends_in_a_report_that_says_where_masks_come_from(
    chain: tuple[Workspace, dict[str, Any]],
) -> None:
    workspace, told = chain
    assert "Traceback" not in told["text"]
    assert f"masks@{ADDED}" in told["added"]
    for name in ("index.html", "report.md"):
        page = (workspace.root / "reports" / name).read_text()
        assert "Foregrounds from the segmentation network, which had none for 4 of 8 images" in page
        assert "Foregrounds from the data set:" in page


def test_masks_are_those_of_the_network(chain: tuple[Workspace, dict[str, Any]]) -> None:
    workspace, told = chain
    # The network sees the first class in every pixel, and the second one gets the fallback's box.
    assert foreground_shares(workspace, "folder") == [1] * COUNTS["val"] + [0.25] * COUNTS["val"]
    assert "folder test: no object found in 4 images, which got the fallback" in told["text"]
    assert summary(workspace, "folder")["test"]["not_found_first"] == [4, 5, 6, 7]
    assert "DVC does not notice" not in told["text"]


def test_masks_of_other_sources(workspace: Workspace) -> None:
    raw = workspace.root / "data/raw"
    write_stl10(raw / "stl10")
    write_stl10_masks(raw / "stl10")
    write_segment6(raw / "segment6")
    workspace.change(tiny("stl10") | tiny("segment6") | FILES | {"datasets": ["stl10", "segment6"]})
    outcome = workspace.run(*REPRO, "masks").check()
    assert set(outcome.stages) == {f"{stage}@{name}" for stage in ("prepare", "masks") for name in MADE}
    for name, shares in MADE.items():
        assert foreground_shares(workspace, name) == shares
    assert "stl10 test: 1 masks missing and filled, 0 files of no image" in outcome.text
    with contextlib.chdir(workspace.root):
        told = mask_text(mask_summary("stl10"))
    assert told.startswith("Foregrounds from the imported files, which had none for 1 of 10 images")


def test_an_added_data_set_runs_alone_and_a_dropped_one_leaves_no_trace(
    chain: tuple[Workspace, dict[str, Any]], warm: Path, tmp_path: Path
) -> None:
    done, told = chain
    assert {stage for stage in told["added"] if "@" not in stage} == {"tables", "report"}
    assert all(FIRST not in stage for stage in told["added"] if not stage.startswith("figures@"))
    assert metrics(done.root) == {ADDED, FIRST}
    curve = f"reports/curves/eps/{ADDED}_L2.csv"
    assert {"reports/index.html", "reports/report.md", curve} < set(naming(done.root))

    workspace = done.copy(tmp_path / "home", warm)
    workspace.change({"datasets": [FIRST]})
    assert set(workspace.repro().check().stages) == {"tables", f"figures@{FIRST}", "report"}
    assert told["naming"] == naming(workspace.root) == []
    assert {*told["metrics"]} == metrics(workspace.root) == {FIRST}


def test_changed_weights_in_the_raw_folder_make_new_masks(
    chain: tuple[Workspace, dict[str, Any]], tmp_path: Path
) -> None:
    done, _ = chain
    workspace = done.copy(tmp_path / "home", PROGRAMS)
    masks = (*REPRO, "masks@folder")
    assert workspace.run(*masks).check().stages == []
    write_network(workspace.root / WEIGHTS, CAT)
    assert workspace.run(*masks).check().stages == ["prepare@folder", "masks@folder"]
    assert summary(workspace, "folder")["test"]["not_found_first"] == [0, 1, 2, 3]
    imported = workspace.imports()["sh stages/run masks folder"]
    entry = workspace.lock()["masks@folder"]
    assert imported - listed(workspace.root, entry) - NEVER_LISTED - PACKAGES - {BUDGETS, BOUNDS} == set()
