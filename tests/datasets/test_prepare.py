from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from dualperturb import datasets
from dualperturb.cli import app
from dualperturb.core.images import ImageSet, load_names, load_split
from dualperturb.datasets import prepare
from dualperturb.datasets.check import check, contact_sheet
from dualperturb.errors import UserError
from dualperturb.params import DATASETS, Params, load_params
from stages import prepare as stage
from tests.sections import with_section

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def params() -> Params:
    loaded = load_params(REPOSITORY / "params.yaml")
    small = with_section(loaded, "shapes6", "data", train=12, test=6)
    return with_section(small, "folder", "data", resize=16, side=12, unreadable="skip")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """Two classes of two images a split, and masks whose left half is foreground."""
    mask = np.zeros((16, 16), np.uint8)
    mask[:, :8] = 255
    for split in ("train", "val"):
        for shade, name in ((60, "cat"), (180, "dog")):
            for index in range(2):
                image = tmp_path / "raw" / split / name / f"{index}.png"
                masked = tmp_path / "raw" / "masks" / split / name / f"{index}.png"
                for path, picture in (
                    (image, Image.new("RGB", (16, 16), (shade,) * 3)),
                    (masked, Image.fromarray(mask)),
                ):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    picture.save(path)
    return tmp_path / "raw"


def test_folder_is_prepared_with_masks_and_meta(params: Params, raw: Path, tmp_path: Path) -> None:
    (raw / "train" / "cat" / "bad.jpg").write_text("no picture")
    Image.new("L", (16, 16)).save(raw / "masks" / "train" / "cat" / "bad.png")
    out = tmp_path / "prepared" / "folder"
    meta = prepare("folder", params, raw, out)
    assert meta == json.loads((out / "meta.json").read_text())
    assert meta["class_names"] == meta["folders"] == ["cat", "dog"] and meta["side"] == 12
    assert meta["source"] == "photographs under raw"
    assert len(meta["skipped"]) == 1 and meta["skipped"][0].startswith("train/cat/bad.jpg: ")
    train = load_split(out, "train")
    assert train.labels.tolist() == [0, 0, 1, 1] and train.images[:, 0, 0, 0].tolist() == [60, 60, 180, 180]
    assert train.foreground is not None and train.foreground.mean() == 0.5
    assert sorted(path.name for path in (tmp_path / "prepared").iterdir()) == ["folder"]
    assert load_names(out, "train") == ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]


def test_same_bytes_every_time(params: Params, raw: Path, tmp_path: Path) -> None:
    first, second = (prepare("folder", params, raw, tmp_path / name) for name in ("a", "b"))
    assert first == second
    assert (tmp_path / "a/meta.json").read_bytes() == (tmp_path / "b/meta.json").read_bytes()


def test_shapes6_is_prepared_from_the_seed(params: Params, tmp_path: Path) -> None:
    meta = prepare("shapes6", params, tmp_path / "absent", tmp_path / "shapes6")
    test = load_split(tmp_path / "shapes6", "test")
    assert len(test) == 6 and test.side == 32 and test.foreground is not None
    assert meta["source"] == "drawn by dualperturb, seed 0" and meta["splits"]["train"]["count"] == 12


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError])
def test_interruption_leaves_no_prepared_folder(
    params: Params, raw: Path, tmp_path: Path, interruption: type[BaseException]
) -> None:
    def interrupt(split: str, done: int, total: int) -> None:
        if split == "test":
            raise interruption

    with pytest.raises(interruption):
        prepare("folder", params, raw, tmp_path / "prepared" / "folder", interrupt)
    assert list((tmp_path / "prepared").iterdir()) == []


def test_number_of_processes_changes_nothing(
    params: Params, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (raw / "train" / "cat" / "0b.jpg").write_text("no picture")
    Image.new("L", (16, 16)).save(raw / "masks" / "train" / "cat" / "0b.png")
    asked: list[int] = []
    for processes in (1, 3):
        monkeypatch.setattr(
            "dualperturb.datasets.pool.processes_for",
            lambda count, processes=processes: asked.append(count) or processes,
        )
        prepare("folder", params, raw, tmp_path / str(processes))
    assert asked == [9, 9]
    files = sorted(path.name for path in (tmp_path / "1").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "3").iterdir()) and "meta.json" in files
    for name in files:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "3" / name).read_bytes()


@pytest.fixture
def user(params: Params, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Permissions bind as they do for a user: root passes over them. Paths are relative to tmp_path."""
    monkeypatch.chdir(tmp_path)
    prepare("folder", params, raw, tmp_path / "before")  # imports modules that may be closed to a user, too
    yield
    for path in (raw / "train" / "cat", raw / "train" / "cat" / "0.png"):
        path.chmod(0o755)


@contextmanager
def as_user() -> Iterator[None]:
    """Not until the test is torn down: what measures coverage writes its files before that."""
    Path.cwd().chmod(0o777)  # the folders above it may be closed to the user, hence the relative paths
    ours = os.geteuid()
    if ours == 0:
        try:
            os.seteuid(65534)
        except OSError as error:
            pytest.skip(f"root may not become a user here: {error}")
    try:
        yield
    finally:
        os.seteuid(ours)


def test_image_that_may_not_be_read(params: Params, raw: Path, user: None) -> None:
    (raw / "train" / "cat" / "0.png").chmod(0)
    with as_user():
        skipped = prepare("folder", params, Path("raw"), Path("skipping"))["skipped"]
    assert skipped == ["train/cat/0.png: Permission denied"]
    strict = with_section(params, "folder", "data", unreadable="refuse")
    message = (
        r"^raw/train/cat/0\.png: unreadable image \(Permission denied\); remove it, or set unreadable: skip$"
    )
    with as_user(), pytest.raises(UserError, match=message):
        prepare("folder", strict, Path("raw"), Path("refusing"))
    assert not Path("refusing").exists()


def test_folder_that_may_not_be_read(params: Params, raw: Path, user: None) -> None:
    (raw / "train" / "cat").chmod(0)
    refused = r"^raw/train/cat: Permission denied; folder is not prepared$"
    with as_user(), pytest.raises(UserError, match=refused):
        prepare("folder", params, Path("raw"), Path("out"))
    assert not Path("out").exists()


def test_what_is_passed_over_and_what_is_transparent_is_told(
    params: Params,
    raw: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (raw / "val" / "dog" / "caf\udce9.txt").write_text("")
    Image.new("L", (16, 16)).save(raw / "masks" / "val" / "dog" / "9.png")
    Image.new("RGBA", (16, 16), (9, 9, 9, 0)).save(raw / "train" / "cat" / "1.png")
    Image.new("RGBA", (16, 16), (9, 9, 9, 255)).save(raw / "train" / "cat" / "0.png")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "raw").mkdir(parents=True)
    raw.rename("data/raw/folder")
    monkeypatch.setattr("stages.prepare.params", lambda: params)
    lines = {
        "2 passed over, neither photographs nor masks of any: masks/val/dog/9.png and 1 more",
        "1 with transparent parts, which are shown on white: train/cat/1.png",
    }
    stage.main("folder")
    assert {f"folder: {line}" for line in lines} <= set(capsys.readouterr().out.splitlines())
    shown = CliRunner().invoke(app, ["data", "check", "folder"]).stdout.splitlines()
    assert lines <= set(shown)


def test_progress_counts_each_split(params: Params, raw: Path, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    prepare("folder", params, raw, tmp_path / "out", lambda *call: calls.append(call))
    assert calls == [(split, done, 4) for split in ("train", "test") for done in (1, 2, 3, 4)]


def test_missing_raw_folder_says_what_to_do(params: Params, tmp_path: Path) -> None:
    message = (
        r"imagenet10/train: not found; link your copy with: dualperturb data link imagenet10 --root DIR, "
    )
    with pytest.raises(UserError, match=message + r"where DIR holds train/<wnid> and val/<wnid>$"):
        prepare("imagenet10", params, tmp_path / "imagenet10", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_dangling_link_says_where_it_points(params: Params, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "train").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=r"folder/train: a link to .*gone, which is absent; link"):
        prepare("folder", params, tmp_path / "folder", tmp_path / "out")


@pytest.mark.parametrize("place", ["train", "val/cat", "masks/train"])
def test_a_linked_folder_is_refused_with_the_command_that_links_its_files(
    params: Params, raw: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "photos").mkdir()
    elsewhere = (raw / place).rename(tmp_path / "photos" / Path(place).name)
    (raw / place).symlink_to(elsewhere)
    with pytest.raises(
        UserError, match=rf"{place}: a link to the folder .*photos.*: dualperturb data link folder "
    ):
        prepare("folder", params, raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_raw_folder_itself_may_be_a_link(params: Params, raw: Path, tmp_path: Path) -> None:
    (tmp_path / "folder").symlink_to(raw)
    assert prepare("folder", params, tmp_path / "folder", tmp_path / "out")["splits"]["train"]["count"] == 4


def test_a_linked_folder_that_no_command_makes_is_refused_with_one_that_does(
    params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("my masks", "raw"):
        Path(name).mkdir()
    Path("my masks/1.png").write_text("")
    Path("raw/masks").symlink_to(tmp_path / "my masks")
    with pytest.raises(UserError, match="rm raw/masks && cp -r --symbolic-link ") as refused:
        prepare("stl10", params, Path("raw"), Path("out"))
    subprocess.run(str(refused.value).partition("one by one: ")[2], shell=True, check=True)
    assert Path("raw/masks/1.png").readlink() == tmp_path / "my masks" / "1.png"


def test_unknown_data_set_is_refused(params: Params, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found 'cifar'; accepted: " + ", ".join(DATASETS)):
        prepare("cifar", params, tmp_path, tmp_path / "out")
    assert tuple(datasets.READERS) == DATASETS


def test_check_reports_what_was_written(params: Params, raw: Path, tmp_path: Path) -> None:
    prepare("folder", params, raw, tmp_path / "out")
    report = check(tmp_path / "out")
    assert report.name == "folder" and report.side == 12 and report.splits["test"].counts == (2, 2)
    assert report.splits["train"].background == 0.5
    files = (tmp_path / "out").glob("train.*.npy")
    assert report.splits["train"].size_bytes == sum(file.stat().st_size for file in files)


def test_check_finds_a_changed_byte(params: Params, raw: Path, tmp_path: Path) -> None:
    prepare("folder", params, raw, tmp_path / "out")
    path = tmp_path / "out" / "test.images.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"test\.images\.npy: its SHA-256 is not the one in meta\.json"):
        check(tmp_path / "out")


def test_check_names_an_absent_file(params: Params, raw: Path, tmp_path: Path) -> None:
    prepare("folder", params, raw, tmp_path / "out")
    (tmp_path / "out" / "train.labels.npy").unlink()
    with pytest.raises(UserError, match=r"train\.labels\.npy: No such file"):
        check(tmp_path / "out")


def test_contact_sheet_shows_each_class_in_a_row() -> None:
    images = np.zeros((3, 3, 4, 4), np.uint8)
    images[0, 0], images[1, 1], images[2, 2] = 255, 255, 255
    sheet = contact_sheet(ImageSet(images, np.array([1, 0, 1]), ("green", "red and blue")), columns=2)
    tiles = np.asarray(sheet)[:, 150:]
    half = len(tiles) // 2
    assert (tiles[half // 2, 56] == [0, 255, 0]).all() and (tiles[half // 2, 172] == 255).all()
    assert (tiles[half + half // 2, 56] == [255, 0, 0]).all() and (
        tiles[half + half // 2, 172] == [0, 0, 255]
    ).all()


def test_contact_sheet_outlines_the_foreground() -> None:
    foreground = np.zeros((1, 1, 4, 4), np.bool_)
    foreground[..., :2] = True
    sheet = contact_sheet(
        ImageSet(np.zeros((1, 3, 4, 4), np.uint8), np.array([0]), ("x",), foreground), columns=1
    )
    row = np.asarray(sheet)[60, 150 : 150 + 112]
    assert np.flatnonzero((row == [255, 0, 255]).all(axis=1)).tolist() == [55]
