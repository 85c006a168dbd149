"""`dvc exp run` where another machine left dvc.lock and nothing is in the cache."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.pipeline.workspace import DVC, PROJECT, Workspace

AUTHOR = ("-c", "user.name=test", "-c", "user.email=test@example.invalid")


def test_one_stage_in_a_fresh_clone(tmp_path: Path, warm: Path) -> None:
    clone = Workspace.clone(tmp_path / "home", warm)
    shutil.copy(PROJECT / "dvc.lock", clone.root)
    clone.run("git", "add", "dvc.lock").check()
    clone.run("git", *AUTHOR, "commit", "--quiet", "-m", "ran elsewhere").check()
    told = clone.run(*DVC, "exp", "run", "--name", "one", "-S", "plots.dpi=151", "prepare@shapes6").check()
    assert told.stages == ["prepare@shapes6"]
    assert "Ran experiment(s): one" in told.text
    changed = clone.run("git", "diff", "--numstat", "params.yaml").check().text
    assert changed == "1\t1\tparams.yaml\n"
