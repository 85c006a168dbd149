from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

import pytest

from dualperturb.errors import UserError
from dualperturb.workflow.interrupted import mend

pytest.importorskip("dvc")

WHOLE = """\
schema: '2.0'
stages:
  first:
    cmd: echo
    outs:
    - path: made
      hash: md5
      md5: 900150983cd24fb0d6963f7d28e17f72
      size: 3
"""
OLDER = WHOLE.replace("first", "older")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / "dvc.lock").write_text(WHOLE)
    return tmp_path


def committed(project: Path, text: str) -> None:
    git = ["git", "-C", str(project), "-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    (project / "dvc.lock").write_text(text)
    for command in (["init", "--quiet"], ["add", "dvc.lock"], ["commit", "--quiet", "-m", "lock"]):
        subprocess.run([*git, *command], check=True)


def test_nothing_is_said_or_changed_where_nothing_is_wrong(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mend(project)
    assert (project / "dvc.lock").read_text() == WHOLE and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "cut", ["", WHOLE[:40], WHOLE[: WHOLE.index("cmd") + 2], "schema: '2.0'\nstages: 7\n"]
)
def test_a_lock_file_that_was_cut_off_is_the_committed_one_again(
    project: Path, capsys: pytest.CaptureFixture[str], cut: str
) -> None:
    committed(project, OLDER)
    (project / "dvc.lock").write_text(cut)
    mend(project)
    assert (project / "dvc.lock").read_text() == OLDER
    assert capsys.readouterr().out.startswith(
        "dvc.lock: cut off by an interrupted run; restored as committed"
    )


@pytest.mark.parametrize("history", ["no repository", "never committed", "committed cut off"])
def test_without_a_committed_one_it_goes(
    project: Path, capsys: pytest.CaptureFixture[str], history: str
) -> None:
    if history == "never committed":
        subprocess.run(["git", "init", "--quiet", project], check=True)
    elif history == "committed cut off":
        committed(project, "schema: ")
    (project / "dvc.lock").write_text("")
    mend(project)
    assert not (project / "dvc.lock").exists()
    assert capsys.readouterr().out.startswith("dvc.lock: cut off by an interrupted run; removed")


def test_a_merge_is_left_to_a_person(project: Path) -> None:
    merging = f"<<<<<<< HEAD\n{WHOLE}=======\n{OLDER}>>>>>>> other\n"
    (project / "dvc.lock").write_text(merging)
    with pytest.raises(UserError, match="^dvc.lock: found the marks of a merge; accepted: .*checkout --ours"):
        mend(project)
    assert (project / "dvc.lock").read_text() == merging


def test_while_dvc_is_at_work_nothing_is_touched(project: Path) -> None:
    (project / "dvc.lock").write_text("")
    with (project / ".dvc/tmp/lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mend(project)
    assert (project / "dvc.lock").read_text() == ""


def test_what_else_was_never_finished_goes(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, files = project / ".dvc/cache/runs", project / ".dvc/cache/files/md5/90"
    whole, kept = runs / "ab/abc/whole", files / "0150983cd24fb0d6963f7d28e17f72"
    for path in (
        whole,
        runs / "cd/cde/x.tmp",
        runs / "ef/efg/y.tmp",
        runs / "ef/efg/whole",
        kept,
        files / "z.tmp",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("abc")
    (runs / "gh/ghi").mkdir(parents=True)
    (project / ".dvc/tmp/rwlock").write_text('{"read": {')
    mend(project)
    left = {
        str(path.relative_to(project / ".dvc")) for path in (project / ".dvc").rglob("*") if path.is_file()
    }
    assert left - {"tmp/lock"} == {
        str(p.relative_to(project / ".dvc")) for p in (whole, runs / "ef/efg/whole", kept)
    }
    assert not (runs / "cd/cde").exists() and not (runs / "gh/ghi").exists()
    assert capsys.readouterr().out.splitlines() == [
        ".dvc/tmp/rwlock: cut off by an interrupted run; removed, for DVC makes it anew",
        ".dvc/cache/runs: removed 2 unfinished entries and 2 empty folders of interrupted runs",
        ".dvc/cache: removed 1 temporary files of interrupted runs, 0.0 MB",
    ]
