"""Bad input through the command line and the prepare stage: one clear line, nothing half written.

What only a process of its own can meet is in test_bad_input_denied.py and test_bad_input_ended.py.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dualperturb import cli
from stages import common, prepare
from tests.datasets.raw_folders import OBJECTS, noise, project

STL10 = ("data", "fetch", "stl10", "--raw", "raw")
BUILD = ("data", "build-segment6", "--coco", "coco", "--out", "out")
IMPORT = ("data", "import-masks", "stl10", "--marks", "marks", "--out", "out")
Case = tuple[Callable[[Path], object], tuple[str, ...], str]


def run_here(monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]) -> int:
    """The exit code of `dualperturb ARGV`, or of `python -m stages.prepare DATASET`."""
    monkeypatch.setattr(sys, "argv", [argv[0], *argv[1:]] if argv[0] == "prepare" else ["dualperturb", *argv])
    with pytest.raises(SystemExit) as ended:
        common.run(prepare.main) if argv[0] == "prepare" else cli.main()
    return int(ended.value.code or 0)


def replace(path: str, content: bytes | None) -> Callable[[Path], object]:
    """Put a file of this content, or else nothing, in the place of a file or a folder."""

    def change(folder: Path) -> None:
        place = folder / path
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
        if content is not None:
            place.write_bytes(content)

    return change


def cut(path: str) -> Callable[[Path], object]:
    return lambda folder: os.truncate(folder / path, (folder / path).stat().st_size // 2)


def edit(path: str, old: str, new: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        text = (folder / path).read_text()
        assert old in text
        (folder / path).write_text(text.replace(old, new))

    return change


RAW6, RAW_STL10 = "data/raw/segment6", "data/raw/stl10"
VAL = "coco/annotations/instances_val2017.json"
SIX, STL = ("prepare", "segment6"), ("prepare", "stl10")
BAD: dict[str, Case] = {
    "truncated JPEG": (cut(f"{RAW6}/images/train_cat.jpg"), SIX, "images/train_cat.jpg: unreadable image ("),
    "zero-byte image": (replace(f"{RAW6}/images/test_dog.jpg", b""), SIX, "test_dog.jpg: unreadable image ("),
    "zero-byte mask": (
        replace(f"{RAW6}/masks/test_dog.png", b""),
        SIX,
        "masks/test_dog.png: unreadable image",
    ),
    "wrong-size mask": (
        lambda folder: noise(0, 16).convert("1").save(folder / RAW6 / "masks/train_cat.png"),
        SIX,
        "masks/train_cat.png: the mask is 16x16 pixels; accepted: 32x32, as published",
    ),
    "csv, a missing row": (
        edit(f"{RAW6}/partitions.csv", "train_cat.jpg,cat,train\n", ""),
        SIX,
        "partitions.csv: does not list the image train_cat.jpg; accepted: a row for each",
    ),
    "csv, a duplicate row": (
        edit(f"{RAW6}/partitions.csv", "train_cat.jpg,cat,train\n", "train_cat.jpg,cat,train\n" * 2),
        SIX,
        "partitions.csv: line 5: train_cat.jpg is listed twice; accepted: one row an image",
    ),
    "csv, zero bytes": (replace(f"{RAW6}/partitions.csv", b""), SIX, "no column for the file among none"),
    "unknown class name": (
        edit(f"{RAW6}/partitions.csv", "jpg,cat,train", "jpg,lion,train"),
        SIX,
        "partitions.csv: line 4: found class 'lion'; accepted: train, bird, cat, dog, toilet, clock",
    ),
    "segment6 is a file": (replace(RAW6, b""), SIX, "data/raw/segment6: is a file; unpack the published"),
    "data/raw is a file": (replace("data/raw", b""), SIX, "data/raw: is a file; unpack the published"),
    "images is a file": (replace(f"{RAW6}/images", b""), SIX, "images: is a file; accepted: the folder of"),
    "masks is a file": (
        replace(f"{RAW6}/masks", b""),
        SIX,
        "masks: is a file; accepted: the folder of masks",
    ),
    "STL-10 labels out of range": (
        replace(f"{RAW_STL10}/test_y.bin", bytes([1, 2, 11])),
        STL,
        "test_y.bin: label 2 is 11; accepted: 1 to 10",
    ),
    "STL-10 size is no multiple": (
        replace(f"{RAW_STL10}/train_X.bin", bytes(27649)),
        STL,
        "train_X.bin: 27649 bytes; accepted: a multiple of 27648, the bytes of an image",
    ),
    "STL-10, zero bytes": (replace(f"{RAW_STL10}/test_X.bin", b""), STL, "test_X.bin: 0 bytes; accepted: a"),
    "stl10 is a file": (replace(RAW_STL10, b""), STL, "data/raw/stl10: is a file; accepted: a folder that"),
    "data/raw is a file for stl10": (
        replace("data/raw", b""),
        STL,
        "data/raw: is a file; accepted: a folder",
    ),
    "COCO, JSON cut in the middle": (cut(VAL), BUILD, "instances_val2017.json: no whole JSON file ("),
    "COCO, an annotation whose image is absent from the list": (
        edit(VAL, '"image_id": 2,', '"image_id": 7,'),
        BUILD,
        "instances_val2017.json: annotation 2000: its image 7 is not in the images' list",
    ),
    "COCO, an image file that is absent": (
        replace("coco/val2017/dogs.jpg", None),
        BUILD,
        "coco/val2017/dogs.jpg: not found; annotation 20",
    ),
    "COCO, run lengths of the wrong size": (
        lambda folder: [
            edit(VAL, f"[[{i}, 2, {i + 40}, 2, {i + 40}, 60, {i}, 60]]", '{"size": [9, 9], "counts": [81]}')(
                folder
            )
            for i in range(OBJECTS)
        ],
        BUILD,
        ": run lengths of size [9, 9], its image dogs.jpg is [128, 128]",
    ),
    "COCO, truncated JPEG": (cut("coco/train2017/dogs.jpg"), BUILD, "train2017/dogs.jpg: unreadable image ("),
    "COCO, zero-byte JPEG": (
        replace("coco/val2017/dogs.jpg", b""),
        BUILD,
        "val2017/dogs.jpg: unreadable image",
    ),
    "COCO, image of another size": (
        lambda folder: noise(0, 64).save(folder / "coco/val2017/dogs.jpg"),
        BUILD,
        "dogs.jpg: 64x64 pixels; accepted: 128x128, as its annotations say",
    ),
    "--coco is a file": (replace("coco", b""), BUILD, "coco: is a file; accepted for --coco: a folder that"),
    "--coco is absent": (replace("coco", None), BUILD, "coco: not found; accepted for --coco: a folder that"),
    "val2017 is a file": (
        replace("coco/val2017", b""),
        BUILD,
        "dogs.jpg: unreadable image (Not a directory)",
    ),
    "--out of the build is a file": (
        replace("out", b""),
        BUILD,
        "out: is a file; accepted for --out: a folder",
    ),
    "--out of the build below a file": (
        replace("out", b""),
        (*BUILD[:-1], "out/segment6"),
        "out: is a file; accepted: a folder in which segment6 can be written",
    ),
    "--marks is a file": (replace("marks", b""), IMPORT, "marks: is a file; accepted for --marks: a folder"),
    "marks, JSON cut in the middle": (
        cut("marks/stl10_train_cat.json"),
        IMPORT,
        "accepted: JSON of the form",
    ),
    "marks, zero bytes": (replace("marks/stl10_train_cat.json", b""), IMPORT, "accepted: JSON of the form"),
    "--out of the import is a file": (
        replace("out", b""),
        IMPORT,
        "out: is a file; accepted for --out: a fol",
    ),
    "--raw is a file": (
        replace("raw", b""),
        STL10,
        "raw: is a file; accepted for --raw: a folder, or a free",
    ),
    "--raw below a file": (
        replace("raw", b""),
        (*STL10[:-1], "raw/stl10"),
        "raw: is a file; accepted: a folder in which stl10 can be written",
    ),
    "--prepared is a file": (
        replace("file", b""),
        ("data", "check", "segment6", "--prepared", "file"),
        "file: is a file; accepted: a prepared folder",
    ),
}


def files(folder: Path) -> dict[str, int]:
    """Each path below a folder and its size, temporary ones too, without the times of finished stages."""
    found = {
        str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()
    }
    return {name: size for name, size in found.items() if not name.startswith("reports/")}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    if "build" in BAD[name][1][1]:
        pytest.importorskip("pycocotools", reason="the extra coco is not installed")
    change, argv, line = BAD[name]
    monkeypatch.chdir(project(tmp_path))
    change(tmp_path)
    before = files(tmp_path)
    assert run_here(monkeypatch, argv) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and line in error
    assert files(tmp_path) == before


def prepared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project(folder))
    prepare.main("segment6")
    return folder / "data" / "prepared" / "segment6"


@pytest.mark.parametrize(
    ("meta", "line"),
    [
        ("{}", "meta.json: lacks splits; make it anew"),
        ("[]", "meta.json: lacks splits; make it anew"),
        (
            '{"class_names": [], "splits": {"train": {"count": 1}, "test": {}}}',
            "meta.json: lacks name; make it anew",
        ),
        ("7", "meta.json: lacks splits; make it anew"),
        ('{"splits": {}}', "meta.json: lacks class_names; make it anew"),
        ("{", "meta.json: not valid JSON"),
    ],
)
def test_check_of_a_damaged_description_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    meta: str,
    line: str,
) -> None:
    (prepared(tmp_path, monkeypatch) / "meta.json").write_text(meta)
    capsys.readouterr()
    assert run_here(monkeypatch, ("data", "check", "segment6")) == 1
    error = capsys.readouterr().err
    assert line in error and error.count("\n") == 1


def test_check_puts_no_sheet_in_a_folders_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared(tmp_path, monkeypatch)
    capsys.readouterr()
    assert run_here(monkeypatch, ("data", "check", "segment6", "--sheet", "data")) == 1
    assert capsys.readouterr().err == "error: data: is a folder; accepted: a file, or a free name\n"
    assert (tmp_path / "data" / "raw").is_dir()
