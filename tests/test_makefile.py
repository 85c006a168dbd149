"""What `make` says before it installs anything."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def told(command: list[str], folder: Path) -> str:
    """The first line of what a command that fails says; nothing is left behind."""
    before = sorted(path.name for path in folder.iterdir())
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ended.returncode == 77:
        pytest.skip("no file system can be mounted here")
    assert ended.returncode and "Traceback" not in ended.stderr
    assert sorted(path.name for path in folder.iterdir()) == before
    return ended.stderr.splitlines()[0]


def test_a_disk_without_room_for_the_environment(checkout: Path) -> None:
    small = checkout / "small"
    small.mkdir()
    script = f"mount -t tmpfs -o size=1m none {small} && cp Makefile small || exit 77; make -C small repro"
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", script]
    assert told(command, checkout).startswith("error: disk: found 0.0 GB free here; accepted: 9, of which ")


def test_photographs_run_in_a_copy_to_which_the_raw_files_are_taken(checkout: Path) -> None:
    parse_args = pytest.importorskip("dvc.cli", reason="the extra workflow is not installed").parse_args
    raw = checkout / "data/raw/cifar10"
    raw.mkdir(parents=True)
    for name in ("README.md", "test_batch.bin", "batches.meta.txt"):  # git tracks the first: it is there
        (raw / name).touch()
    command = ["make", "--dry-run", "--old-file=.venv/installed", "photographs"]
    lines = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True).stdout
    (run,) = (shlex.split(line) for line in lines.splitlines() if "exp run" in line)
    asked = parse_args(run[run.index("dvc") + 1 :])
    assert asked.copy_paths == [f"data/raw/cifar10/{name}" for name in ("test_batch.bin", "batches.meta.txt")]
    assert asked.set_param == ["datasets=[cifar10]"] and asked.tmp_dir


def test_another_python(checkout: Path) -> None:
    python = checkout / "python"
    python.write_text(
        '#!/bin/sh\nexec python3 -c "import sys; sys.version_info = (3, 9)\n$(shift; echo "$1")"\n'
    )
    python.chmod(0o755)
    assert told(["make", f"PYTHON={python}", "repro"], checkout).startswith(
        "error: Python 3.11 or 3.12 is needed, "
    )
