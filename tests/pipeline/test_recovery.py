"""What a kill or a damaged file leaves in a real project, and that what is advised there brings it back."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.pipeline.workspace import DVC, Workspace

VERIFY = ("dualperturb", "workflow", "verify")
CHECK = ("dualperturb", "workflow", "check")
WEIGHTS = Path("models/shapes6/clean/0/weights.safetensors")


def cached(workspace: Workspace, path: Path) -> Path:
    """The file of DVC's cache that an output's file was made from."""
    cache = workspace.root / ".dvc/cache/files/md5"
    outs = {out["path"]: out["md5"] for stage in workspace.lock().values() for out in stage["outs"]}
    out = next(folder for folder in path.parents if str(folder) in outs)
    listing = outs[str(out)]
    files = json.loads((cache / listing[:2] / listing[2:]).read_text())
    (md5,) = (file["md5"] for file in files if file["relpath"] == str(path.relative_to(out)))
    return cache / md5[:2] / md5[2:]


def test_a_lock_file_that_was_cut_off_costs_nothing(workspace: Workspace) -> None:
    """The clone has no committed one: all comes from the run cache."""
    before = workspace.lock()
    (workspace.root / "dvc.lock").write_text("")
    assert "validation failed" in workspace.repro().text
    assert workspace.run(*CHECK).check().text.startswith("dvc.lock: cut off by an interrupted run; removed")
    ran = re.findall(r"^Running stage '(.+?)'", workspace.repro().check().text, re.MULTILINE)
    assert set(ran) <= {"tables", "report"}  # a second each; what git keeps has no run cache
    assert workspace.lock() == before


def test_half_a_file_of_the_cache_is_found_and_made_anew(workspace: Workspace) -> None:
    """DVC restores the half and believes in it; the reader does not, and what it advises helps."""
    weights, whole = workspace.root / WEIGHTS, (workspace.root / WEIGHTS).read_bytes()
    place = cached(workspace, WEIGHTS)
    place.chmod(0o644)
    place.write_bytes(whole[: len(whole) // 2])
    place.chmod(0o444)
    weights.unlink()
    workspace.run(*DVC, "checkout").check()
    assert weights.read_bytes() != whole
    assert workspace.repro().check().stages == []  # silence
    workspace.change({"shapes6.evaluate.strong.steps": 3})
    refused = workspace.repro()
    assert (
        refused.code and "its SHA-256 is not the one in classifier.json; make it anew with: " in refused.text
    )

    told = workspace.run(*VERIFY).check().text
    assert "removed; train_clean@shapes6 runs again" in told and f"{WEIGHTS}: not as dvc.lock has it" in told
    ran = workspace.repro().check().stages
    assert ran[0] == "train_clean@shapes6" and weights.read_bytes() == whole
    assert set(ran) >= {"strong@shapes6-clean", "tables"}
