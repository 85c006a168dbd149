"""How many ranks a stage runs as, and how it ends when one of them fails."""

from __future__ import annotations

import os
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch

from dualperturb.errors import UserError
from stages import processes

ROOT = Path(__file__).resolve().parents[2]
# Rank NUMBER fails while the other waits for it. What waits at exit stands for Fabric taking NCCL down; the
# ranks are connected without Fabric, whose import takes longer than all the rest.
STAGE = """
import atexit, time
import torch
import torch.distributed as dist
from dualperturb import launch
from dualperturb.core.devices import ranks
from dualperturb.errors import UserError
from stages.common import run

ERRORS = {"user": UserError("the reason"), "mistake": ZeroDivisionError("a mistake")}

def main(number: int, kind: str) -> None:
    atexit.register(time.sleep, 600)
    if launch.rank() == number:
        print("not yet flushed", end="")
        raise ERRORS.get(kind, KeyboardInterrupt)
    ranks.summed(torch.zeros(1))

ranks._connect = lambda: dist.init_process_group("gloo")
run(main, ranked=True)
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="two ranks on the CPU are meant")
@pytest.mark.parametrize(
    ("number", "kind", "last", "status"),
    [
        ("1", "user", "error: rank 1: the reason", 1),
        ("0", "mistake", "ZeroDivisionError: a mistake", 1),
        ("0", "interrupt", None, 130),
    ],
)
def test_a_failed_rank_does_not_wait_for_the_others_at_its_end(
    tmp_path: Path, number: str, kind: str, last: str | None, status: int
) -> None:
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(params.replace("devices: auto", "devices: 2"), encoding="utf-8")
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    ended = subprocess.run(
        [sys.executable, "-c", STAGE, number, kind],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": ""},
        timeout=120,
        capture_output=True,
        text=True,
    )
    lines = ended.stderr.splitlines()
    assert (ended.returncode, lines[-1:]) == (status, [last] if last else [])
    assert len(lines) <= 1 or lines[0].startswith("Traceback") and kind == "mistake"
    assert ended.stdout == ("not yet flushed" if number == "0" else "")


@pytest.mark.parametrize("name", ["nvidia0", "kfd", "dxg"])
def test_gpus_are_counted_where_there_is_a_drivers_file(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    there: list[str] = ["nvidiactl", "null"]
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: [one for one in there if fnmatch(one, pattern)])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert (processes._processes("auto"), processes._processes(2)) == (1, 2)
    there.append(name)
    assert (processes._processes("auto"), processes._processes(2)) == (4, 2)
    with pytest.raises(UserError, match="^runtime.devices: found 5; accepted: auto, or up to 4"):
        processes._processes(5)
