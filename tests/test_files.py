from __future__ import annotations

import errno
import json
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dualperturb.errors import UserError
from dualperturb.files import entries, read_csv, replacing, scratch, write_csv, write_json

# Writes half a file and a folder at PATH, says so, waits for a line, and goes on.
WRITER = """
import sys
from pathlib import Path
from dualperturb.files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.mkdir()
    (temporary / "half").write_text("half")
    print("half", flush=True)
    sys.stdin.readline()
"""


def start(path: Path) -> subprocess.Popen[str]:
    """A process that stands in the middle of writing the folder `path`."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], **pipes)  # type: ignore[call-overload]
    assert process.stdout is not None and process.stdout.readline() == "half\n"
    return process


def kill(path: Path) -> None:
    """Leave what a process leaves that is killed while it writes `path`."""
    process = start(path)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.communicate()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_place_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.txt"
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert not path.exists() and temporary.parent.parent == path.parent
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path], "nothing temporary is left"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_replaces_a_folder_whole(tmp_path: Path) -> None:
    path = tmp_path / "masks"
    path.mkdir()
    (path / "stale.npy").touch()
    with replacing(path) as temporary:
        temporary.mkdir()
        (temporary / "fresh.npy").touch()
        assert (path / "stale.npy").exists()
    assert [file.name for file in path.iterdir()] == ["fresh.npy"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_folder(tmp_path: Path) -> None:
    path = tmp_path / "masks"
    path.mkdir()
    (path / "old.npy").touch()
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.mkdir()
        raise RuntimeError
    assert [file.name for file in path.iterdir()] == ["old.npy"]


def test_a_symbolic_link_is_replaced_and_its_target_kept(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "link"
    target.mkdir()
    (target / "kept").touch()
    path.symlink_to(target)
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new" and not path.is_symlink()
    assert (target / "kept").exists()


def test_a_folder_takes_the_place_of_a_link_to_one(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "link"
    target.mkdir()
    (target / "kept").touch()
    path.symlink_to(target)
    with replacing(path) as temporary:
        temporary.mkdir()
    assert names(path) == [] and not path.is_symlink() and names(target) == ["kept"]


def test_a_killed_run_leaves_nothing_at_the_path_and_the_next_clears_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "masks"
    kill(path)
    assert not path.exists() and len(names(tmp_path)) == 1
    kill(path)
    assert len(names(tmp_path)) == 1, "the second run cleared away what the first one left"
    with replacing(path) as temporary:
        temporary.mkdir()
        (temporary / "whole").touch()
    assert names(tmp_path) == ["masks"] and names(path) == ["whole"]
    kill(path)
    assert names(path) == ["whole"]


def test_a_run_that_still_goes_on_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "masks"
    process = start(path)
    with replacing(path) as temporary, replacing(path) as nested:
        temporary.mkdir()
        nested.mkdir()
    assert len(names(tmp_path)) == 2
    process.communicate("go on\n")
    assert process.returncode == 0 and names(path) == ["half"] and names(tmp_path) == ["masks"]


def test_only_what_runs_for_the_same_path_left_is_cleared_away(tmp_path: Path) -> None:
    kill(tmp_path / "masks")
    for name in (".set[1].backup", ".set[1].swp.partial.txt", "set[1].x.partial"):
        (tmp_path / name).mkdir()
    kill(tmp_path / "set[1]")
    before = names(tmp_path)
    with replacing(tmp_path / "set[1]") as temporary:
        temporary.mkdir()
    left = set(before) - set(names(tmp_path))
    assert len(left) == 1 and left.pop().startswith(".set[1].")


def test_a_folder_is_never_half_there_while_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "masks"
    path.mkdir()
    (path / "old").touch()
    seen = []
    monkeypatch.setattr("os.replace", lambda *_: seen.append(path.exists()))
    with replacing(path) as temporary:
        temporary.mkdir()
    assert seen == [False]


def test_without_locks_files_are_written_and_nothing_is_cleared_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    kill(tmp_path / "masks")
    monkeypatch.setattr("fcntl.flock", refuse)
    with replacing(tmp_path / "masks") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "masks").read_text() == "new" and len(names(tmp_path)) == 2


def test_a_file_and_a_folder_do_not_take_each_others_place(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").touch()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="folder: is a folder; accepted: a file, or a free name"):
        write_json(tmp_path / "folder", 1)
    with (
        pytest.raises(UserError, match="file: is a file; accepted: a folder, or a free name"),
        replacing(tmp_path / "file") as temporary,
    ):
        temporary.mkdir()
    assert names(tmp_path) == ["file", "folder"] and names(tmp_path / "folder") == ["mine"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("path", [".", "..", "inner/.."])
def test_what_is_called_by_no_name_cannot_be_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(UserError, match=r"^[^:]+: cannot be replaced; accepted: a path that ends in the name"),
        replacing(Path(path)) as temporary,
    ):
        (temporary / "images").mkdir(parents=True)
    assert names(tmp_path) == ["inner"] and names(tmp_path / "inner") == []


@pytest.mark.parametrize("place", ["file/a.json", "file/deep/a.json"])
def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(
        UserError, match=r"file: is a file; accepted: a folder in which a\.json can be written"
    ):
        write_json(tmp_path / place, 1)


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "full"), OSError("100 requested and 7 written"), OSError(errno.EDQUOT, "")],
)
def test_a_full_disk_is_one_line_that_names_the_outermost_path(tmp_path: Path, error: OSError) -> None:
    path = tmp_path / "masks"
    with (
        pytest.raises(UserError, match=r"masks: (No space|Disk quota).*; free some and run again$") as caught,
        replacing(path) as folder,
        replacing(folder / "inner"),
    ):
        raise error
    assert str(caught.value).startswith(f"{path}:") and names(tmp_path) == []


def test_other_errors_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), scratch(tmp_path / "masks"):
        np.load(tmp_path / "gone.npy")


def test_entries_are_sorted_and_what_is_no_folder_is_one_line(tmp_path: Path) -> None:
    for name in "ba":
        (tmp_path / name).touch()
    assert entries(tmp_path, "") == [tmp_path / "a", tmp_path / "b"]
    for name, state in (("gone", "gone: not found"), ("a", "a: is a file"), ("a/b", "a: is a file")):
        with pytest.raises(UserError, match=f"/{state}; accepted: this$"):
            entries(tmp_path / name, "accepted: this")


def test_json_has_stable_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": [1.5, None]})
    write_json(tmp_path / "b.json", {"a": [1.5, None], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1.5, None], "b": 1}


def test_a_value_that_is_no_json_leaves_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"path": tmp_path})
    assert json.loads((tmp_path / "a.json").read_text()) == 1


def test_csv_has_no_index_and_keeps_every_digit(tmp_path: Path) -> None:
    table = pd.DataFrame({"epoch": [1, 2], "loss": [1 / 3, 2.0]})
    write_csv(tmp_path / "history.csv", table)
    assert (tmp_path / "history.csv").read_text() == "epoch,loss\n1,0.3333333333333333\n2,2.0\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"epoch,loss\n1,0.5\n2,0.2", "its last line is cut off"),
        (b"epoch\n1\n2,3\n", "Error tokenizing data.*"),
        (b"", "No columns to parse from file"),
        (bytes(range(128, 256)) + b"\n", "'utf-8' codec .*"),
        (None, ".*No such file or directory.*"),
    ],
)
def test_a_damaged_table_is_refused_in_one_line(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "table.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_csv(path)
    expected = rf"{path}: cannot be read as a table \({reason}\); make it anew with: [a-z &]+"
    assert re.fullmatch(expected, str(caught.value))  # "." matches no line break


@pytest.mark.parametrize(
    ("asked", "lacking"),
    [(("loss", "n", "accuracy"), "columns n, accuracy"), (["defence", "n"], "column n")],
)
def test_a_table_without_a_column_is_refused_in_one_line(
    tmp_path: Path, asked: Sequence[str], lacking: str
) -> None:
    path = tmp_path / "table.csv"
    write_csv(path, pd.DataFrame({"defence": ["clean"], "loss": [0.5], "more": [1]}))
    with pytest.raises(UserError) as caught:
        read_csv(path, asked)
    remedy = "run the stage that writes it again: dvc repro --single-item --force STAGE"
    assert str(caught.value) == f"{path}: lacks the {lacking}; {remedy}"
    assert list(read_csv(path, ("loss",)).columns) == ["defence", "loss", "more"]


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = pd.DataFrame({"defence": ["clean", None], "loss": [1 / 3, 2.0], "n": [1, 2]})
    write_csv(tmp_path / "table.csv", table)
    pd.testing.assert_frame_equal(read_csv(tmp_path / "table.csv"), table)
