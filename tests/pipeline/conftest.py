"""Clones in which everything ran once, each made once a test session by the worker that needs it first."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.once import made_once
from tests.pipeline.warm import warm_python
from tests.pipeline.workspace import Workspace

pytest.importorskip("dvc")
if shutil.which("git") is None:
    pytest.skip("git is not installed", allow_module_level=True)


@pytest.fixture(scope="session")
def warm() -> Iterator[Path]:
    """A folder whose `python` runs stages without importing the libraries anew."""
    with warm_python() as folder:
        yield folder


@pytest.fixture(scope="session")
def complete(tmp_path_factory: pytest.TempPathFactory, warm: Path) -> Workspace:
    """A clone after `dvc repro`. For reading: take `workspace` to change something."""
    home = made_once(tmp_path_factory, "complete", lambda home: Workspace.clone(home, warm).repro().check())
    return Workspace(home, warm)


@pytest.fixture
def workspace(complete: Workspace, warm: Path, tmp_path: Path) -> Workspace:
    """A clone of the test's own, in the state after a complete run."""
    return complete.copy(tmp_path / "home", warm)
