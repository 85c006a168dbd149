"""gpu.sh goes on after a script that failed or was cut, says so, and takes less than nine minutes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.sh"
# In the interpreter's place: one script takes too long, with a child of its own, one fails, the others run.
PYTHON = """#!/bin/sh
case $2 in
    benchmarks.floor) sh -c "sleep 60; true"; exit ;;
    benchmarks.masks) exit 3 ;;
esac
echo "ran $*"
"""
# In the place of timeout: notes the limit, and takes a second for it.
TIMEOUT = """#!/bin/sh
echo "$3" >> "$LIMITS"
shift 3
exec "$TIMEOUT" -k 1 1 "$@"
"""


@pytest.fixture
def ended(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    timeout = shutil.which("timeout")
    if timeout is None:
        pytest.skip("timeout absent")
    for name, text in (("python", PYTHON), ("timeout", TIMEOUT)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "PYTHON": str(tmp_path / "python"),
        "TIMEOUT": timeout,
        "LIMITS": str(tmp_path / "limits"),
    }
    command = ["sh", str(SCRIPT), str(tmp_path / "out")]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50)


def test_what_failed_or_was_cut_is_named_and_the_others_run(
    ended: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    assert ended.returncode == 1
    told = [line for line in ended.stdout.splitlines() if line.startswith("error: ")]
    assert told == ["error: floor (cut after 85 s)", "error: masks (failed with status 3)"]
    ran = [line.split()[2] for line in ended.stdout.splitlines() if line.startswith("ran -m ")]
    expected = ("training", "precision", "memory", "autoattack", "precision", "machine")
    assert ran == [f"benchmarks.{name}" for name in expected]
    assert (tmp_path / "out" / "log.txt").read_text() == ended.stdout


def test_the_limits_add_up_to_less_than_nine_minutes(
    ended: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    limits = [int(line) for line in (tmp_path / "limits").read_text().split()]
    assert len(limits) == 7 and 480 < sum(limits) <= 530
