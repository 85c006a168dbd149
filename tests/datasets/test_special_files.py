"""Named pipes, sockets and devices among the user's files: one line that names them, and never a wait."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from dualperturb.datasets.check import check
from dualperturb.datasets.raw.coco import read_annotations
from dualperturb.datasets.raw.segment6_build import build
from dualperturb.datasets.raw.stl10_marks import import_masks
from dualperturb.datasets.reading.photo_folders import survey
from dualperturb.datasets.segment6_layout import read_table
from dualperturb.datasets.stl10 import survey as survey_stl10
from dualperturb.errors import UserError
from dualperturb.files import refuse_special
from dualperturb.masks.files import find_masks
from dualperturb.params.masks import MaskFilesParams
from stages import prepare
from tests.datasets.raw_folders import project
from tests.datasets.test_photos import rows, save, spec, tree

LONGEST = 20  # seconds that a test may wait for a pipe


@pytest.fixture(autouse=True)
def _no_endless_wait() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits for a named pipe"))
    signal.alarm(LONGEST)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def piped(path: Path) -> Path:
    """A named pipe in the place of what was there."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path


def test_what_is_no_file_is_told_by_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path has to be short
    (tmp_path / "device").symlink_to("/dev/null")
    os.mkfifo("pipe")
    (tmp_path / "file").touch()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("bound")
        for name, kind in (("pipe", "a named pipe"), ("bound", "a socket"), ("device", "a device")):
            with pytest.raises(OSError, match=kind) as caught:
                refuse_special(Path(name))
            assert caught.value.filename == name
    refuse_special(Path("file"))
    refuse_special(Path())


def test_a_pipe_named_like_an_image_is_an_unreadable_image(tmp_path: Path) -> None:
    piped(tree(tmp_path) / "train" / "dog" / "1b.jpg")
    with pytest.raises(UserError, match=r"dog/1b\.jpg: unreadable image \(a named pipe\); remove it, or set"):
        rows(tmp_path)
    skipped: list[str] = []
    assert len(rows(tmp_path, skipped=skipped, unreadable="skip")) == 6
    assert skipped == ["train/dog/1b.jpg: a named pipe"]


def test_a_pipe_under_another_name_is_passed_over(tmp_path: Path) -> None:
    piped(tree(tmp_path) / "train" / "dog" / "pipe")
    assert len(survey(tmp_path, spec()).photos["train"][1]) == 3


def test_a_pipe_in_a_masks_place_is_an_unreadable_image(tmp_path: Path) -> None:
    for image in tree(tmp_path).rglob("*.jpg"):
        mask = tmp_path / "masks" / image.relative_to(tmp_path)
        save(mask.with_suffix(".png"), Image.new("L", (24, 16), 255))
    piped(tmp_path / "masks" / "train" / "cat" / "1.png")
    with pytest.raises(UserError, match=r"masks/train/cat/1\.png: unreadable image \(a named pipe\)"):
        rows(tmp_path)


def test_a_pipe_in_a_folder_of_mask_files_is_named(tmp_path: Path) -> None:
    files = MaskFilesParams(folder="x", match="index", missing="background", other_size="refuse")
    save(tmp_path / "train" / "1.png")
    for name in ("0.png", "notes"):
        piped(tmp_path / "train" / name)
    found = find_masks(tmp_path, "train", None, 2, 12, files)
    with pytest.raises(UserError, match=r"train/0\.png: unreadable mask \(a named pipe\)"):
        found[slice(0, 2)]


Case = tuple[str, Callable[[Path], object], str]
READERS: dict[str, Case] = {
    "STL-10's images": (
        "data/raw/stl10/test_X.bin",
        lambda path: survey_stl10(path.parent),
        r"cannot be read \(a named pipe\); accepted: a file that can be read",
    ),
    "Segment-6's list": (
        "data/raw/segment6/partitions.csv",
        lambda path: read_table(path, "images"),
        "a named pipe; accepted: a csv file",
    ),
    "COCO's annotations": (
        "coco/annotations/instances_val2017.json",
        lambda path: read_annotations(path, {}, 1),
        "a named pipe; accepted: COCO's instance annotations",
    ),
    "a file of marks": (
        "marks/stl10_train_cat.json",
        lambda path: import_masks(path.parent, path.parents[1] / "out"),
        r"cannot be read \(a named pipe\); accepted: a JSON file of marks",
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_in_a_files_place_is_one_line(tmp_path: Path, name: str) -> None:
    place, read, line = READERS[name]
    path = piped(project(tmp_path) / place)
    with pytest.raises(UserError, match=f"{path.name}: {line}"):
        read(path)


def test_a_pipe_in_a_coco_images_place_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("pycocotools", reason="the extra coco is not installed")
    piped(project(tmp_path) / "coco" / "val2017" / "dogs.jpg")
    with pytest.raises(UserError, match=r"dogs\.jpg: unreadable image \(a named pipe\); unpack COCO's"):
        build(tmp_path / "coco", tmp_path / "out", {"train": 1, "test": 1}, 0, 1, None)


@pytest.mark.parametrize("name", ["meta.json", "test.images.npy", "train.labels.npy"])
def test_the_check_of_a_prepared_folder_names_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(project(tmp_path))
    prepare.main("segment6")
    path = piped(tmp_path / "data" / "prepared" / "segment6" / name)
    with pytest.raises(UserError, match=f"{name}: a named pipe; make it anew with"):
        check(path.parent)
