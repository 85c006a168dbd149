"""The GPU's scripts run from a checkout on a machine without what only the workflow and params.yaml need."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ABSENT = ("pydantic", "pydantic_core", "ruamel", "dvc", "rich", "PIL", "scipy", "jinja2")
SCRIPTS = ("floor", "precision", "memory", "autoattack", "strength", "training", "masks", "machine")


def test_scripts_are_imported_and_run_without_what_a_gpu_machine_lacks(tmp_path: Path) -> None:
    code = f"""
        import sys
        from importlib import import_module

        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in {ABSENT}:
                    raise ModuleNotFoundError(name)

        sys.meta_path.insert(0, Absent())
        for name in {SCRIPTS}:
            import_module("benchmarks." + name)
        for name in ("training", "masks"):
            import_module("benchmarks." + name).main(["--tiny", "--out", {str(tmp_path)!r}])
    """
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    ended = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    assert {path.stem for path in tmp_path.glob("*.csv")} == {"training", "masks"}
