"""The scripts of gpu.sh run to their end on a simulated card: faults are not to be found on a lent one."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks.peers import Task, peers
from tests.simulated_cuda import simulated_cuda

SCRIPTS = {
    "training": ["--extrapolate", "--seconds", "1"],
    "floor": [],
    "precision": [],
    "masks": [],
    "memory": [],
    "autoattack": [],
}


@pytest.mark.parametrize(("script", "options"), SCRIPTS.items(), ids=SCRIPTS.keys())
def test_it_ends_and_leaves_its_table(script: str, options: list[str], tmp_path: Path) -> None:
    with simulated_cuda():
        import_module(f"benchmarks.{script}").main(
            ["--device", "cuda", "--tiny", "--out", str(tmp_path), *options]
        )
    (table,) = tmp_path.glob("*.csv")
    assert len(pd.read_csv(table))


def test_a_profiler_that_cannot_watch_costs_no_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with simulated_cuda():
        import_module("benchmarks.training").main(
            ["--device", "cuda", "--tiny", "--seconds", "0", "--out", str(tmp_path)]
        )
    rows = pd.read_csv(tmp_path / "epoch.csv")
    assert len(rows) == 4 and rows["gpu_busy"].isna().all() and (rows["seconds_a_batch"] > 0).all()
    assert capsys.readouterr().out.count("gpu_busy is not measured: ") == 4


def test_a_peer_that_fails_on_this_device_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(task: Task) -> object:
        return lambda: task.images + torch.zeros(task.images.shape)

    monkeypatch.setattr("benchmarks.peers.PEERS", {"failing": failing, "fine": lambda task: list})
    with simulated_cuda():
        images, labels = (
            torch.zeros(2, 3, 4, 4, device="cuda"),
            torch.zeros(2, dtype=torch.long, device="cuda"),
        )
        found = peers(Task(torch.nn.Flatten(), images, labels, "L2", 1.0, 2, 0.5))
    assert set(found) == {"fine"}
    assert capsys.readouterr().out.startswith("failing is left out: Expected all tensors to be on the same")
