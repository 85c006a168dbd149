"""Which interpreter a stage gets from `sh stages/run`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[2] / "stages" / "run"
HAS, LACKS = "", "-IS"  # options of this interpreter, with which it finds the package, or no package at all


def interpreter(folder: Path, options: str) -> None:
    folder.mkdir(parents=True)
    script = f'#!/bin/sh\nWHICH={folder.parent.name} exec "{sys.executable}" {options} "$@"\n'
    (folder / "python").write_text(script, encoding="utf-8")
    (folder / "python").chmod(0o755)


@pytest.mark.parametrize(
    ("on_path", "in_venv", "runs"),
    [(HAS, HAS, "path"), (LACKS, HAS, ".venv"), (None, HAS, ".venv"), (LACKS, LACKS, None)],
)
def test_the_first_that_has_the_package_runs_the_stage(
    tmp_path: Path, on_path: str | None, in_venv: str, runs: str | None
) -> None:
    interpreter(tmp_path / ".venv" / "bin", in_venv)
    if on_path is not None:
        interpreter(tmp_path / "path" / "bin", on_path)
    (tmp_path / "stages").mkdir()
    told = "import os, sys; print(os.environ['WHICH'], *sys.argv[1:], sep='|')"
    (tmp_path / "stages" / "tell.py").write_text(told, encoding="utf-8")
    environment = {"PATH": str(tmp_path / "path" / "bin")}
    command = ["/bin/sh", str(RUN), "tell", "one", "two words"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    if runs is None:
        assert ended.returncode == 1 and ended.stderr.startswith("error: no python of this shell has dual")
    else:
        assert ended.stdout == f"{runs}|one|two words\n"
