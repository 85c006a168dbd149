from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from dualperturb.datasets.raw.placing import COPIES, Links, place
from dualperturb.errors import UserError

NAMES = ("train",)


@pytest.fixture
def wanted(tmp_path: Path) -> dict[Path, Path]:
    """Three files of a user's, wanted under train/."""
    sources = [tmp_path / "own" / f"{number}.png" for number in range(3)]
    sources[0].parent.mkdir()
    for number, source in enumerate(sources):
        source.write_text(f"image {number}")
        os.utime(source, ns=(10**18 + number, 10**18 + number))
    return {Path("train", "cat", source.name): source for source in sources}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    return tmp_path / "raw"


def state(target: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of all there is: a run that changes nothing leaves both."""
    found = {path: path.lstat() for path in target.rglob("*")}
    return {str(path.relative_to(target)): (one.st_ino, one.st_mtime_ns) for path, one in found.items()}


@pytest.mark.parametrize("copy", [False, True])
def test_again_changes_nothing(wanted: dict[Path, Path], target: Path, copy: bool) -> None:
    assert place(wanted, target, NAMES, copy) == Links(made=3, kept=0, removed=0)
    before = state(target)
    assert place(wanted, target, NAMES, copy) == Links(made=0, kept=3, removed=0)
    assert state(target) == before
    assert all((target / where).is_symlink() is not copy for where in wanted)
    assert all((target / where).read_text() == source.read_text() for where, source in wanted.items())


def test_links_become_copies_and_links_again(wanted: dict[Path, Path], target: Path) -> None:
    for copy in (False, True, False):
        assert place(wanted, target, NAMES, copy) == Links(made=3, kept=0, removed=0)
        assert all((target / where).is_symlink() is not copy for where in wanted)
        assert (target / COPIES).exists() is copy
    assert all(source.read_text() for source in wanted.values())


@pytest.mark.parametrize("size", ["same size", "other size"])
def test_changed_source_is_copied_again(wanted: dict[Path, Path], target: Path, size: str) -> None:
    place(wanted, target, NAMES, copy=True)
    where, source = next(iter(wanted.items()))
    source.write_text("IMAGE 0" if size == "same size" else "longer than that")
    assert place(wanted, target, NAMES, copy=True) == Links(made=1, kept=2, removed=0)
    assert (target / where).read_text() == source.read_text()


def test_copies_that_are_not_wanted_any_more_are_removed(wanted: dict[Path, Path], target: Path) -> None:
    place(wanted, target, NAMES, copy=True)
    last = list(wanted)[-1]
    fewer = {where: source for where, source in wanted.items() if where != last}
    assert place(fewer, target, NAMES, copy=True) == Links(made=0, kept=2, removed=1)
    assert place({}, target, NAMES, copy=True) == Links(made=0, kept=0, removed=2)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize("copy", [False, True])
def test_copy_that_the_user_changed_is_left_alone(wanted: dict[Path, Path], target: Path, copy: bool) -> None:
    place(wanted, target, NAMES, copy=True)
    where = next(iter(wanted))
    (target / where).write_text("touched")
    before = state(target)
    with pytest.raises(UserError, match=r"train/cat/0\.png: is a file of your own and no link, nor an unch"):
        place(wanted, target, NAMES, copy)
    assert state(target) == before


def test_copy_on_a_file_system_of_coarse_times_is_kept(wanted: dict[Path, Path], target: Path) -> None:
    place(wanted, target, NAMES, copy=True)
    for where in wanted:
        os.utime(target / where, ns=(10**18 - 10**9, 10**18 - 10**9))
    assert place(wanted, target, NAMES, copy=True) == Links(made=0, kept=3, removed=0)


@pytest.mark.parametrize("broken", ["copy2", "replace"])
@pytest.mark.parametrize("killed", [False, True])
def test_interrupted_copy_is_never_taken_for_whole(
    wanted: dict[Path, Path], target: Path, monkeypatch: pytest.MonkeyPatch, broken: str, killed: bool
) -> None:
    second = list(wanted.values())[1]
    copy2, replace = shutil.copy2, os.replace

    def half(source: Path, partial: Path) -> None:
        if source != second:
            copy2(source, partial)
        else:
            partial.write_text("ima")
            partial.chmod(0o400)
            raise KeyboardInterrupt

    def never(partial: Path, place: Path) -> None:
        if Path(place).name == second.name:
            raise KeyboardInterrupt
        replace(partial, place)

    with monkeypatch.context() as patch:
        patch.setattr(*((shutil, "copy2", half) if broken == "copy2" else (os, "replace", never)))
        if killed:  # nothing is tidied up
            patch.setattr("dualperturb.datasets.raw.placing.Path.unlink", lambda path, missing_ok=False: None)
        with pytest.raises(KeyboardInterrupt):
            place(wanted, target, NAMES, copy=True)
    assert [path.name for path in (target / "train" / "cat").iterdir()] == ["0.png"]
    assert place(wanted, target, NAMES, copy=True) == Links(made=2, kept=1, removed=0)
    assert all((target / where).read_text() == source.read_text() for where, source in wanted.items())
    assert sorted(path.name for path in target.iterdir()) == [COPIES, "train"]


def test_half_a_copy_of_a_killed_run_is_cleared_away(wanted: dict[Path, Path], target: Path) -> None:
    (target / ".copy.partial").write_text("ima")
    place(wanted, target, NAMES)
    assert [path.name for path in target.iterdir()] == ["train"]


@pytest.mark.parametrize("text", ["{", "[]", '{"train/cat/0.png": [1]}', '{"a": ["x", 1]}'])
def test_damaged_list_of_copies_is_one_line(wanted: dict[Path, Path], target: Path, text: str) -> None:
    place(wanted, target, NAMES, copy=True)
    (target / COPIES).write_text(text)
    with pytest.raises(UserError, match=r"\.copies\.json: is not the list of copies .*remove it and the cop"):
        place(wanted, target, NAMES, copy=True)


@pytest.mark.parametrize("raw", ["file", "file/raw", "link"])
def test_place_that_is_no_folder_is_named(wanted: dict[Path, Path], tmp_path: Path, raw: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    named = tmp_path / raw.split("/")[0]
    with pytest.raises(UserError) as caught:
        place(wanted, tmp_path / raw, ("train", "val"))
    assert str(caught.value) == (
        f"--raw {tmp_path / raw}: {named} is no folder; accepted: a folder, or a free name"
    )


def test_list_of_copies_names_no_place_of_the_users(wanted: dict[Path, Path], target: Path) -> None:
    place(wanted, target, NAMES, copy=True)
    assert json.loads((target / COPIES).read_text())["train/cat/1.png"] == [7, 10**18 + 1]


def test_progress_counts_what_is_placed(wanted: dict[Path, Path], target: Path) -> None:
    calls: list[tuple[int, int]] = []
    place(wanted, target, NAMES, True, lambda *call: calls.append(call))
    place(wanted, target, NAMES, True, lambda *call: calls.append(call))
    assert calls == [(1, 3), (2, 3), (3, 3)]
