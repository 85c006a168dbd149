"""ci/report.sh with nothing but git and DVC's remote: it regenerates the report and runs no attack."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.pipeline.workspace import DVC, Workspace

SCRIPT = "ci/report.sh"
AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@example.invalid")
# Stands in for CML: says what it was asked to post, and that it could read it.
CML = '#!/usr/bin/env bash\necho "cml $*"; test -s "${!#}"\n'


@pytest.fixture(autouse=True)
def setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter of these tests, and no token of the machine's own."""
    monkeypatch.setenv("REPORT_PYTHON", "python")
    monkeypatch.delenv("REPO_TOKEN", raising=False)


@pytest.fixture(scope="module")
def origin(complete: Workspace, warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A clone after a complete run that was committed, with the outputs pushed to a remote beside it."""
    made = complete.copy(tmp_path_factory.mktemp("origin") / "home", warm)
    for command in (
        (*DVC, "remote", "add", "--default", "store", str(made.home / "store")),
        ("git", "add", "--all"),
        ("git", *AUTHOR, "commit", "--quiet", "-m", "ran"),
        (*DVC, "push", "--run-cache"),
    ):
        made.run(*command).check()
    return made


@pytest.fixture
def fresh(origin: Workspace, tmp_path: Path) -> Workspace:
    """What another machine gets with `git clone`: no cache, and of the outputs those that git keeps."""
    made = Workspace(tmp_path / "elsewhere", origin.programs)
    origin.run("git", "clone", "--quiet", ".", str(made.root)).check()
    assert not (made.root / ".dvc/cache").exists()
    kept = {"claims.csv", "curves", "metrics.json", "report.md", "results.csv"}
    assert {path.name for path in (made.root / "reports").iterdir()} == kept
    return made


def test_nothing_runs_and_the_report_is_there(origin: Workspace, fresh: Workspace) -> None:
    outcome = fresh.run(SCRIPT).check()
    assert outcome.stages == []
    assert outcome.text.rstrip().endswith("report: reports/index.html")
    assert "comment: reports/report.md (not posted" in outcome.text
    for name in ("reports/index.html", "reports/report.md"):
        assert (fresh.root / name).read_bytes() == (origin.root / name).read_bytes()


def test_a_colour_redraws_alone_and_the_comment_is_posted(
    fresh: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cml = tmp_path / "programs/cml"
    cml.parent.mkdir()
    cml.write_text(CML)
    cml.chmod(0o755)
    monkeypatch.setenv("PATH", str(cml.parent), prepend=":")
    monkeypatch.setenv("REPO_TOKEN", "token")
    fresh.change({"plots.palette.at_pgd": "#CC79A7"})
    outcome = fresh.run(SCRIPT).check()
    assert {stage.split("@")[0] for stage in outcome.stages} == {"figures", "report"}
    posted = [line for line in outcome.text.splitlines() if line.startswith("cml ")]
    assert len(posted) == 1 and posted[0].endswith(" reports/report.md")


def test_what_the_remote_lacks_is_not_run_here(origin: Workspace, fresh: Workspace) -> None:
    shutil.copytree(origin.home / "store", fresh.home / "store")
    outputs = [out for stage in origin.lock().values() for out in stage["outs"]]
    model = next(out for out in outputs if out["path"].startswith("models/"))
    (lacking,) = (fresh.home / "store").rglob(model["md5"][2:])
    lacking.unlink()
    fresh.run(*DVC, "remote", "modify", "store", "url", str(fresh.home / "store")).check()
    outcome = fresh.run(SCRIPT)
    assert outcome.code == 1
    assert outcome.stages == []
    line = f"error: the DVC remote 'store' lacks 1 of the outputs in dvc.lock, {model['path']}/ first; push "
    assert outcome.text.splitlines()[-1].startswith(line)


def test_no_remote_is_one_line(fresh: Workspace) -> None:
    fresh.run(*DVC, "remote", "remove", "store").check()
    outcome = fresh.run(SCRIPT)
    assert outcome.code == 1
    expected = "error: this checkout names no default DVC remote; add one with: dvc remote add -d NAME URL\n"
    assert outcome.text == expected
