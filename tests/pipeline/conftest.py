"""Two clones in which everything ran once, made once a test session, whichever worker comes first."""

from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import pytest

from tests.pipeline.workspace import Workspace

pytest.importorskip("dvc")


@pytest.fixture(scope="session")
def clones(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Workspace]:
    """Two clones that ran independently, at the same time. For reading: copy one to change something."""
    session = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        session = session.parent
    homes = session / "clone_a", session / "clone_b"
    with (session / "clones.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (session / "clones.done").exists():
            made = [Workspace.clone(home) for home in homes]
            running = [clone.start(sys.executable, "-m", "dvc", "repro") for clone in made]
            texts = [process.communicate()[0] for process in running]
            for home, process, text in zip(homes, running, texts, strict=True):
                (home / "first.log").write_text(text)
                assert process.returncode == 0, text
            (session / "clones.done").touch()
    return Workspace(homes[0]), Workspace(homes[1])


@pytest.fixture
def workspace(clones: tuple[Workspace, Workspace], tmp_path: Path) -> Workspace:
    """A clone of one's own, in the state after a complete run."""
    return clones[0].copy(tmp_path / "home")
