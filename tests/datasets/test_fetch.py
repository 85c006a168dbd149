"""`data fetch`: the archive comes from a small server, and what is read of it is put into the raw folder."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dualperturb.datasets.published import md5
from dualperturb.datasets.raw.fetch import PUBLISHED, fetch
from dualperturb.errors import UserError
from tests.datasets.raw_folders import cifar10 as write_cifar10
from tests.datasets.raw_folders import stl10 as write_stl10

WRITERS = {"cifar10": write_cifar10, "stl10": write_stl10}
OTHER = {"cifar10": "readme.html", "stl10": "unlabeled_X.bin"}  # in the archive, too


@pytest.fixture(params=sorted(WRITERS))
def dataset(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def raw(tmp_path: Path, dataset: str) -> Path:
    """The folder that was archived."""
    folder = tmp_path / "raw" / dataset
    WRITERS[dataset](folder)
    return folder


def publish(monkeypatch: pytest.MonkeyPatch, archive: Path, dataset: str, **facts: Any) -> None:
    """Let this archive be the official one."""
    found = {"url": archive.as_uri(), "archive_md5": md5(archive), **facts}
    monkeypatch.setitem(PUBLISHED, dataset, replace(PUBLISHED[dataset], **found))


@pytest.fixture
def archive(raw: Path, tmp_path: Path, dataset: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An official archive of the files in `raw` and of one that is never unpacked."""
    published = PUBLISHED[dataset]
    path = tmp_path / published.archive
    with tarfile.open(path, "w:gz") as tar:
        for file in sorted(raw.iterdir()):
            tar.add(file, f"{published.folder}/{file.name}")
        tar.addfile(tarfile.TarInfo(f"{published.folder}/{OTHER[dataset]}"), io.BytesIO())
    publish(monkeypatch, path, dataset, sums={name: md5(raw / name) for name in published.sums})
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_files_that_are_read_are_put_there_once(
    raw: Path, tmp_path: Path, dataset: str, archive: Path
) -> None:
    target, files = tmp_path / "project" / dataset, PUBLISHED[dataset].files
    shown: list[tuple[int, int]] = []
    assert fetch(dataset, target, lambda *counts: shown.append(counts)) == len(files) and shown
    assert names(target) == sorted(files) and names(target.parent) == [dataset]
    assert all((target / name).read_bytes() == (raw / name).read_bytes() for name in files)
    whole = archive.read_bytes()
    archive.unlink()
    assert fetch(dataset, target) == 0
    archive.write_bytes(whole)
    (target / files[1]).unlink()
    assert fetch(dataset, target) == 1 and names(target) == sorted(files)


def test_files_of_ones_own_are_left_alone(raw: Path, dataset: str, archive: Path) -> None:
    archive.unlink()
    first = PUBLISHED[dataset].files[0]
    (raw / first).write_bytes(b"mine")
    with pytest.raises(UserError, match=rf"{first}: is there and is not .*'s official file; move it away"):
        fetch(dataset, raw)
    assert (raw / first).read_bytes() == b"mine"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError()])
def test_an_interrupted_unpacking_is_done_again_without_a_download(
    tmp_path: Path, dataset: str, archive: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def interrupt(_: Any, target: Any) -> None:
        target.write(b"half")
        raise error

    target = tmp_path / "project" / dataset
    with monkeypatch.context() as patch, pytest.raises(type(error)):
        patch.setattr("shutil.copyfileobj", interrupt)
        fetch(dataset, target)
    assert names(target.parent) == [f".{archive.name}"]
    archive.unlink()
    assert fetch(dataset, target) == len(PUBLISHED[dataset].files) and names(target.parent) == [dataset]


def test_without_a_network_one_line_says_what_to_do(tmp_path: Path, dataset: str, archive: Path) -> None:
    archive.unlink()
    target = tmp_path / "project" / dataset
    with pytest.raises(UserError, match="cannot be downloaded .*; run again to go on, or unpack") as line:
        fetch(dataset, target)
    assert str(line.value).startswith(PUBLISHED[dataset].url) and "\n" not in str(line.value)
    assert str(line.value).endswith(f"dualperturb data link {dataset} --root DIR")
    assert names(target.parent) == []


def test_an_archive_that_lacks_a_file_or_is_cut_is_one_line(
    raw: Path, tmp_path: Path, dataset: str, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    publish(monkeypatch, archive, dataset)
    with pytest.raises(UserError, match=rf"{archive.name}: cannot be unpacked"):
        fetch(dataset, tmp_path / "project" / dataset)
    with tarfile.open(archive, "w:gz") as tar:
        for name in PUBLISHED[dataset].sums:
            tar.add(raw / name, f"folder/{name}")
    publish(monkeypatch, archive, dataset)
    with pytest.raises(UserError, match=rf"holds no {PUBLISHED[dataset].class_list}; fetch it again"):
        fetch(dataset, tmp_path / "project" / dataset)
    assert names(tmp_path / "project") == []


def test_an_archive_can_write_nowhere_else(
    raw: Path, tmp_path: Path, dataset: str, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links, and paths that lead out of the archive's folder."""
    first, *others = PUBLISHED[dataset].files
    with tarfile.open(archive, "w:gz") as tar:
        link = tarfile.TarInfo(first)
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
        tar.addfile(link)
        tar.add(raw / first, f"../../../{first}")
        for name in others:
            tar.add(raw / name, f"/{tmp_path}/{name}")
    publish(monkeypatch, archive, dataset)
    target, before = tmp_path / "project" / dataset, names(tmp_path)
    assert fetch(dataset, target) == 1 + len(others)
    assert not (target / first).is_symlink() and (target / first).read_bytes() == (raw / first).read_bytes()
    assert names(tmp_path) == sorted([*before, "project"]) and names(tmp_path / "project") == [dataset]


def test_a_link_in_place_of_the_folder_is_followed(tmp_path: Path, dataset: str, archive: Path) -> None:
    target = tmp_path / "project" / dataset
    target.parent.mkdir()
    target.symlink_to(tmp_path / "large" / dataset)
    files = PUBLISHED[dataset].files
    assert fetch(dataset, target) == len(files)
    assert names(tmp_path / "large" / dataset) == sorted(files)
    assert names(tmp_path / "large") == names(target.parent) == [dataset]


def test_a_file_in_place_of_the_folder_is_refused_before_the_download(
    tmp_path: Path, dataset: str, archive: Path
) -> None:
    archive.unlink()
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UserError, match="mine: is a file; accepted for --raw: a folder, or a free name"):
        fetch(dataset, tmp_path / "mine")
    with pytest.raises(UserError, match="mine: is a file; accepted: a folder in which raw can be written"):
        fetch(dataset, tmp_path / "mine" / "raw")
    assert (tmp_path / "mine").read_text() == "mine"


def test_other_data_sets_cannot_be_fetched(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="dataset: found 'imagenet10'; accepted: cifar10, stl10"):
        fetch("imagenet10", tmp_path)
