from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from dualperturb.files import replacing, write_csv, write_json


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
