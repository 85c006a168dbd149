from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from dualperturb.errors import UserError
from dualperturb.workflow.damage import verify

pytest.importorskip("dvc")


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def cached(project: Path, content: bytes, ending: str = "") -> Path:
    name = md5(content) + ending
    path = project / ".dvc/cache/files/md5" / name[:2] / name[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o444)
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A file and a folder of two files, in the project and in its cache."""
    (tmp_path / "table.csv").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "model").mkdir()
    for name, content in (("weights", b"weights"), ("spec", b"spec")):
        (tmp_path / "model" / name).write_bytes(content)
        cached(tmp_path, content)
    cached(tmp_path, b"a,b\n1,2\n")
    files = [{"md5": md5(name.encode()), "relpath": name} for name in ("spec", "weights")]
    listing = json.dumps(files).encode()
    cached(tmp_path, listing, ".dir")
    (tmp_path / "dvc.lock").write_text(
        f"""\
schema: '2.0'
stages:
  train:
    cmd: python train
    outs:
    - {{path: model, hash: md5, md5: {md5(listing)}.dir, size: 11, nfiles: 2}}
  table:
    cmd: python table
    outs:
    - {{path: table.csv, hash: md5, md5: {md5(b"a,b" + bytes([10]) + b"1,2" + bytes([10]))}, size: 8}}
"""
    )
    return tmp_path


def damage(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:3])


def of(project: Path, content: bytes, ending: str = "") -> Path:
    name = md5(content) + ending
    return project / ".dvc/cache/files/md5" / name[:2] / name[2:]


def test_whole_files_are_counted(project: Path) -> None:
    assert list(verify(project)) == ["compared 4 files of DVC's cache and 3 outputs: 0 and 0 of them differ"]


def test_a_damaged_file_of_the_cache_is_replaced_by_the_projects_own(project: Path) -> None:
    place = of(project, b"weights")
    damage(place)
    first, last = verify(project)
    assert first.endswith("its content is not what its name says; replaced by model/weights")
    assert place.read_bytes() == b"weights" and place.stat().st_mode & 0o777 == 0o444
    assert last.endswith(": 1 and 0 of them differ")


def test_where_the_project_has_the_same_damage_the_stage_runs_again(project: Path) -> None:
    """As after `dvc checkout`, which restores half a file and remembers it as the whole one."""
    damage(of(project, b"weights"))
    damage(project / "model/weights")
    before = (project / "model/weights").stat().st_mtime_ns
    told = list(verify(project))
    assert told[0].endswith("its content is not what its name says; removed; train runs again")
    assert told[1] == "model/weights: not as dvc.lock has it; dvc repro looks at it again"
    assert not of(project, b"weights").exists()
    assert (project / "model/weights").read_bytes() == b"wei"  # nothing of a person's is removed
    assert (project / "model/weights").stat().st_mtime_ns != before


def test_a_damaged_list_of_a_folders_files_and_what_no_stage_needs(project: Path) -> None:
    listing = next((project / ".dvc/cache").rglob("*.dir"))
    damage(listing)
    damage(cached(project, b"of an older experiment"))
    told = list(verify(project))
    assert sorted(line.rpartition("; ")[2] for line in told[:-1]) == [
        "no stage of dvc.lock needs it",
        "train runs again",
    ]
    assert not listing.exists()


def test_a_lock_file_that_is_cut_off_is_refused(project: Path) -> None:
    (project / "dvc.lock").write_text("schema")
    with pytest.raises(UserError, match="^dvc.lock: cut off .*dualperturb workflow check$"):
        list(verify(project))
