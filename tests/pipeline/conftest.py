"""Clones in which everything ran once, each made once a test session by the worker that needs it first."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipeline.once import made_once
from tests.pipeline.warm import warm_python
from tests.pipeline.workspace import PROGRAMS, Workspace

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
    return _after_repro(tmp_path_factory, "complete", warm)


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Another clone after a `dvc repro` of its own, each stage in an interpreter of its own. For reading."""
    return _after_repro(tmp_path_factory, "plain", PROGRAMS)


@pytest.fixture
def workspace(complete: Workspace, warm: Path, tmp_path: Path) -> Workspace:
    """A clone of the test's own, in the state after a complete run."""
    return complete.copy(tmp_path / "home", warm)


def _after_repro(factory: pytest.TempPathFactory, name: str, programs: Path) -> Workspace:
    home = made_once(factory, name, lambda home: Workspace.clone(home, programs).repro().check())
    return Workspace(home, programs)
