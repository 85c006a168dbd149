"""A full disk while a data set is prepared, on a small file system in memory, mounted for one test."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
MOUNT = ("unshare", "--mount", "--map-root-user")
# Twice with too little room, then with enough, in one namespace: the mount is gone with the process.
SCRIPT = """
set -u
mount -t tmpfs -o size=400k none data/prepared || exit 77
for room in 400k 400k 16m; do
    mount -o remount,size=$room data/prepared || exit 77
    "$0" -m stages.prepare folder; echo "exit $?"
    ls -A data/prepared
    test -e data/prepared/folder || df --output=used data/prepared | tail -1
done
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A working copy with eight photographs, which take 150 kB each when prepared."""
    params = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["datasets"] = ["folder"]
    (tmp_path / "params.yaml").write_text(json.dumps(params))
    (tmp_path / "data" / "prepared").mkdir(parents=True)
    for name in ("train/cat", "train/dog", "val/cat", "val/dog"):
        folder = tmp_path / "data/raw/folder" / name
        folder.mkdir(parents=True)
        for number in range(2):
            Image.effect_noise((230, 230), 60).convert("RGB").save(folder / f"{number}.jpg")
    return tmp_path


def test_full_disk_is_one_line_and_a_run_with_room_succeeds(workspace: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("no unshare on this system")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}
    done = subprocess.run(
        [*MOUNT, "sh", "-c", SCRIPT, sys.executable],
        cwd=workspace,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"may not mount a file system here: {done.stderr.strip()}")
    errors = done.stderr.splitlines()
    assert len(errors) == 2
    assert all(re.match("error: data/prepared/folder: [Nn]o space left", line) for line in errors)
    # Nothing is left behind, and what was written takes no room.
    failed = ["exit 1", "0"]
    succeeded = ["folder: 4 train, 4 test images of 224x224 pixels", "exit 0", "folder"]
    assert [line.strip() for line in done.stdout.splitlines()] == [*failed, *failed, *succeeded]
