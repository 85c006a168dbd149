"""The masks stage with masks of one's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from dualperturb.core.images import load_foreground, load_split, write_meta, write_split
from dualperturb.errors import UserError
from dualperturb.files import write_json
from stages import masks

SHIPPED = Path(__file__).resolve().parents[2] / "params.yaml"
SIDE = 32
FILES = {"folder": "mine", "match": "index", "missing": "refuse", "other_size": "refuse"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with prepared images of `folder`, without masks, and three mask files a split."""
    images = np.random.default_rng(0).integers(0, 256, (3, 3, SIDE, SIDE), dtype=np.uint8)
    prepared = tmp_path / "data/prepared/folder"
    splits = {}
    for split in ("train", "test"):
        splits[split] = write_split(prepared, split, SIDE, [(image, 0, None) for image in images])
        write_json(prepared / f"{split}.names.json", [f"cat/{name}.jpg" for name in "abc"])
        for index, name in enumerate("abc"):
            for path in (f"{split}/{index}.png", f"{split}/cat/{name}.png"):
                save(tmp_path / "data/raw/folder/mine" / path, index + 1)
    write_meta(prepared, name="folder", class_names=["cat"], folders=["cat"], side=SIDE, splits=splits)
    write_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_params(folder: Path, source: str = "files", **files: str) -> None:
    params = YAML(typ="safe", pure=True).load(SHIPPED.read_text(encoding="utf-8"))
    params["datasets"] = ["folder"]
    params["folder"]["masks"] |= {"source": source, "files": {**FILES, **files}}
    params["folder"]["evaluate"] |= {"n": 2, "examples": [0]}
    (folder / "params.yaml").write_text(json.dumps(params))  # JSON is YAML, too


def save(path: Path, rows: int) -> None:
    """A mask whose first `rows` rows are foreground."""
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[:rows] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize("match", ["index", "name"])
def test_masks_from_files_are_those_of_the_images(project: Path, match: str) -> None:
    write_params(project, match=match)
    masks.main("folder")
    for split in ("train", "test"):
        written = load_foreground(project / "data/masks/folder", split)
        assert (written.sum(axis=(1, 2, 3)) / SIDE).tolist() == [1, 2, 3]
    summary = json.loads((project / "reports/masks/folder.json").read_text())
    assert summary["source"] == "files" and summary["test"]["missing"] == summary["test"]["empty"] == 0


def test_missing_masks_are_told_and_counted(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "data/raw/folder/mine/test/1.png").unlink()
    with pytest.raises(UserError, match="test: no mask for 1 of 3 images"):
        masks.main("folder")
    assert not (project / "data/masks").exists()
    write_params(project, missing="background")
    masks.main("folder")
    out = capsys.readouterr().out
    assert "folder test: 1 masks missing and filled, 0 files of no image" in out
    assert "folder test: the foreground is 4.2% of the pixels; 1 masks empty, 0 full" in out
    test = json.loads((project / "reports/masks/folder.json").read_text())["test"]
    assert (test["missing"], test["empty"]) == (1, 1)


def test_a_bad_mask_leaves_no_masks_folder(project: Path) -> None:
    (project / "data/raw/folder/mine/test/2.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"test/2\.png: unreadable mask"):
        masks.main("folder")
    assert list((project / "data/masks").iterdir()) == []


def test_masks_that_the_data_set_should_bring_and_does_not_are_one_line(project: Path) -> None:
    write_params(project, source="dataset")
    assert load_split(project / "data/prepared/folder", "test").foreground is None
    with pytest.raises(UserError, match=r"^folder\.masks\.source: found dataset, .*accepted: saliency"):
        masks.main("folder")


def test_a_linked_folder_of_masks_is_refused(project: Path) -> None:
    mine = project / "data/raw/folder/mine"
    mine.rename(project / "elsewhere")
    mine.symlink_to(project / "elsewhere")
    with pytest.raises(UserError, match="mine: a link to the folder .*: rm data/raw/folder/mine && cp -r"):
        masks.main("folder")
