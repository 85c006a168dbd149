"""The modules that dvc.yaml lists for a stage are those that the stage imports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dualperturb.params import SMOOTHED
from tests.pipeline.folder_set import TINY_FOLDER, write_photos
from tests.pipeline.stl10_set import write_stl10
from tests.pipeline.workspace import PROGRAMS, PROJECT, Workspace

# What only reads, writes, checks or shows: no stage lists it.
NEVER_LISTED = {
    *("stages/__init__.py", "stages/by_norm.py", "stages/common.py", "stages/processes.py"),
    *(
        f"src/dualperturb/{name}.py"
        for name in ("__init__", "files", "errors", "launch", "processes", "progress", "text")
    ),
    *(str(file.relative_to(PROJECT)) for file in (PROJECT / "src/dualperturb/params").glob("*.py")),
}
# They hold a docstring: a stage lists them only with their whole folder.
PACKAGES = {
    str(file.relative_to(PROJECT))
    for file in (PROJECT / "src/dualperturb").rglob("__init__.py")
    if "import" not in file.read_text(encoding="utf-8").rpartition('"""')[2]
}
# params imports it for every stage; it counts where a stage works with budgets or shows norms.
BUDGETS = "src/dualperturb/core/budgets.py"
BOUNDS = "src/dualperturb/core/bounds.py"  # every stage reads params.yaml, in which bounds are checked by it
# Imported for a model, a data set or letters of a class name that no run of this test has.
BY_NAME = {
    *(
        f"src/dualperturb/saliency/{name}.py"
        for name in (
            *("center", "contrast", "deepgaze", "frequency_tuned", "onnx", "onnx_gradient"),
            *("onnx_graph", "segmentation", "spectral_residual", "weights"),
        )
    ),
    "src/dualperturb/core/classifiers/state_dicts.py",
    "src/dualperturb/fonts.py",
    *(f"src/dualperturb/datasets/{name}.py" for name in ("segment6", "segment6_layout")),
}


@pytest.fixture(scope="module")
def imported(complete: Workspace, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Stage -> the project's files that it imported, for any data set and defence."""
    photos = complete.copy(tmp_path_factory.mktemp("photos") / "home", PROGRAMS)
    write_photos(photos.root / "data/raw/folder")
    write_stl10(photos.root / "data/raw/stl10")
    photos.change(TINY_FOLDER)
    prepares = [f"sh stages/run prepare {dataset}" for dataset in ("folder", "stl10")]
    for prepare in prepares:
        photos.run(*prepare.split()).check()
    by_command = photos.imports()
    found: dict[str, set[str]] = {"prepare": set().union(*(by_command[prepare] for prepare in prepares))}
    for stage, entry in complete.lock().items():
        found.setdefault(stage.partition("@")[0], set()).update(by_command[entry["cmd"]])
    for defence in SMOOTHED:  # the stage trains them in interpreters of their own
        found["train_smoothing"] |= by_command[f"sh stages/run train {defence} shapes6"]
    return found


def listed(root: Path, entry: dict[str, Any]) -> set[str]:
    """The Python files among the dependencies of a stage in dvc.lock; a folder stands for all in it."""
    paths = [root / dep["path"] for dep in entry["deps"] if dep["path"].startswith(("src/", "stages/"))]
    files = {file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path])}
    return {str(file.relative_to(root)) for file in files if file.suffix == ".py"}


def stages(complete: Workspace) -> dict[str, dict[str, Any]]:
    """One entry of dvc.lock a stage: its runs differ in data set and defence alone."""
    return {stage.partition("@")[0]: entry for stage, entry in complete.lock().items()}


def test_what_is_imported_is_listed(complete: Workspace, imported: dict[str, set[str]]) -> None:
    missing = {
        stage: sorted(
            imported[stage] - listed(complete.root, entry) - NEVER_LISTED - PACKAGES - {BUDGETS, BOUNDS}
        )
        for stage, entry in stages(complete).items()
    }
    assert {stage: files for stage, files in missing.items() if files} == {}


def test_what_is_listed_is_imported(complete: Workspace, imported: dict[str, set[str]]) -> None:
    idle = {
        stage: sorted(listed(complete.root, entry) - imported[stage] - BY_NAME)
        for stage, entry in stages(complete).items()
    }
    assert {stage: files for stage, files in idle.items() if files} == {}


def test_what_only_reads_or_shows_is_not_listed(complete: Workspace) -> None:
    extra = {
        stage: sorted(listed(complete.root, entry) & NEVER_LISTED)
        for stage, entry in stages(complete).items()
    }
    assert {stage: files for stage, files in extra.items() if files} == {}


def test_budgets_are_listed_where_they_are_scaled(complete: Workspace) -> None:
    scaling = {
        stage
        for stage, entry in stages(complete).items()
        if "shapes6.eps_scale" in entry.get("params", {}).get("params.yaml", {})
    }
    assert scaling <= {
        stage for stage, entry in stages(complete).items() if BUDGETS in listed(complete.root, entry)
    }
