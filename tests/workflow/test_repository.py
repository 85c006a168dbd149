"""DVC in a folder that came without git, and in one that got it later."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dualperturb.workflow.repository import settle_repository

pytest.importorskip("dvc")
PROJECT = Path(__file__).resolve().parents[2]
DVC = (sys.executable, "-m", "dvc")


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """What DVC needs of an unpacked archive."""
    folder = tmp_path / "outer" / "unpacked"
    (folder / ".dvc").mkdir(parents=True)
    for name in (".dvc/config", ".dvc/.gitignore"):
        shutil.copy(PROJECT / name, folder / name)
    (folder / "dvc.yaml").write_text("stages: {one: {cmd: 'true'}}\n")
    return folder


def runs(folder: Path, *command: str) -> bool:
    return subprocess.run(command, cwd=folder, capture_output=True).returncode == 0


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_dvc_runs_without_git_and_with_it_once_it_is_there(
    unpacked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settle_repository(unpacked)
    assert "Experiments (dvc exp) want one: git init" in capsys.readouterr().out
    assert runs(unpacked, *DVC, "repro")
    settle_repository(unpacked)
    assert capsys.readouterr().out == ""
    assert runs(unpacked, "git", "init", "--quiet")
    settle_repository(unpacked)
    assert capsys.readouterr().out.startswith("git: found here now, so DVC uses it")
    assert "no_scm" not in (unpacked / ".dvc/config.local").read_text()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("ignored", [False, True])
def test_a_repository_above_counts_unless_it_ignores_the_folder(unpacked: Path, ignored: bool) -> None:
    assert runs(unpacked.parent, "git", "init", "--quiet")
    (unpacked.parent / ".gitignore").write_text("/unpacked/\n" if ignored else "")
    settle_repository(unpacked)
    assert (unpacked / ".dvc/config.local").exists() is ignored
    assert runs(unpacked, *DVC, "repro")


def test_an_empty_git_folder_is_no_repository_and_the_switch_may_stand_on_false(unpacked: Path) -> None:
    """A stray `.git` above, and what DVC's own advice writes: it ended in "is not a git repository"."""
    (unpacked.parent / ".git").mkdir()
    (unpacked / ".dvc/config.local").write_text("[core]\n    no_scm = false\n")
    settle_repository(unpacked)
    assert runs(unpacked, *DVC, "repro")
