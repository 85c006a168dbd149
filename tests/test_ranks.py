"""Several processes find what one finds; a failure of one is told in one line."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dualperturb import launch
from dualperturb.core.devices import ranks
from dualperturb.errors import UserError
from dualperturb.training.checkpoint import epochs_done

CHILD = Path(__file__).with_name("ranks_child.py")
SOURCES = Path(__file__).resolve().parents[1] / "src"


def run(folder: Path, count: int, stop_after: int = 2) -> Path:
    """Let `count` processes share the work of `ranks_child`; return the folder of what they found.

    stop_after: epochs, of two, after which they stop.
    """
    folder.mkdir(exist_ok=True)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    common = {**os.environ, "PYTHONPATH": str(SOURCES), "OMP_NUM_THREADS": "1"}
    places = [
        {"RANK": str(n), "WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        for n in range(count)
    ]
    command = [sys.executable, str(CHILD), str(folder), str(stop_after)]
    started = [
        subprocess.Popen(command, env=common | place, stderr=subprocess.PIPE, text=True) for place in places
    ]
    ends = [(process.communicate(timeout=300)[1], process.returncode) for process in started]
    assert all(code == 0 for _, code in ends), ends
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("ranks") / "1", 1)


def losses(folder: Path) -> np.ndarray:
    return np.load(folder / "losses.npy")


@pytest.mark.parametrize("count", [2, 4])
def test_training_and_evaluation_do_not_depend_on_the_number_of_ranks(
    alone: Path, tmp_path: Path, count: int
) -> None:
    shared = run(tmp_path / "shared", count)
    assert losses(alone).shape == (10,), "four batches and an accuracy for each of two epochs"
    np.testing.assert_allclose(losses(shared), losses(alone), rtol=0, atol=1e-4)
    for name in ("nested", "salient"):
        mine, whole = (pd.read_csv(folder / f"{name}.csv") for folder in (shared, alone))
        outcome = ["value", "loss", "index", "label", "predicted", "correct"]
        pd.testing.assert_frame_equal(mine[outcome], whole[outcome])
        pd.testing.assert_frame_equal(mine, whole, rtol=0, atol=1e-3)
        assert 0.1 < whole["correct"].mean() < 0.95, "some fall and some stand"


def test_a_run_goes_on_with_another_number_of_ranks(alone: Path, tmp_path: Path) -> None:
    """The first epoch by two ranks, the second by one: as both by one."""
    run(tmp_path, 2, stop_after=1)
    assert epochs_done(tmp_path / "run.pt") == 1
    np.testing.assert_allclose(losses(run(tmp_path, 1)), losses(alone)[4:], rtol=0, atol=1e-4)


# A process on its own


def test_a_process_on_its_own_has_the_whole_to_do() -> None:
    assert (ranks.rank(), ranks.size(), launch.rank(), launch.world_size()) == (0, 1, 0, 1)
    assert ranks.part(5) == (slice(0, 5), 1.0)
    assert ranks.mine("abc") == {0: "a", 1: "b", 2: "c"}
    assert ranks.gathered({1: "b", 0: "a"}) == ["a", "b"]
    assert ranks.total([1.5, 2], torch.device("cpu")) == [1.5, 2]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8])
@pytest.mark.parametrize("size", [2, 3, 4])
def test_the_parts_make_up_the_whole(monkeypatch: pytest.MonkeyPatch, count: int, size: int) -> None:
    found: list[int] = []
    shares = 0.0
    monkeypatch.setattr(ranks, "size", lambda: size)
    for place in range(size):
        monkeypatch.setattr(ranks, "rank", lambda place=place: place)
        part, share = ranks.part(count)
        own = list(range(count))[part]
        assert own, "every rank takes part in the passes"
        found += own if share else []
        assert share in (0, len(own) / count)
        shares += share
    assert found == list(range(count)) and shares == pytest.approx(1)


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"RANK": "3", "WORLD_SIZE": "4"}, (3, 4)),
        ({"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "2"}, (1, 2)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, (0, 1)),  # a batch script, which srun did not start
        ({"WORLD_SIZE": "2"}, (0, 1)),
    ],
)
def test_a_rank_is_told_its_place(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], place: tuple[int, int]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (launch.rank(), launch.world_size()) == place


# Connecting, without partners


def connect(monkeypatch: pytest.MonkeyPatch, here: int, gpus: int) -> dict[str, object]:
    """How `joined` would begin the connection, as one of `here` ranks on each of two machines."""
    found: dict[str, object] = {}

    def begin(backend: str, **options: object) -> None:
        found.update(options, backend=backend)

    places = {"RANK": here, "WORLD_SIZE": 2 * here, "LOCAL_WORLD_SIZE": here, "MASTER_PORT": 29500}
    for name, value in {**places, "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.distributed, "init_process_group", begin)
    ranks.joined().__enter__()
    return found


def test_ranks_wait_for_each_other_for_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning_fabric")
    found = connect(monkeypatch, here=1, gpus=0)
    assert found["timeout"] == timedelta(hours=12)
    assert (found["backend"], found["rank"], found["world_size"]) == ("gloo", 1, 2)


@pytest.mark.parametrize("started", ["kubernetes", "torchrun"])
def test_more_ranks_than_gpus_are_one_line(monkeypatch: pytest.MonkeyPatch, started: str) -> None:
    if started == "torchrun":
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    with pytest.raises(
        UserError, match="^ranks: found 4 processes .*--nproc-per-node.*; accepted: up to 2, "
    ):
        connect(monkeypatch, here=4, gpus=2)


# The launcher; its ranks are `python -c` with this code


def launched(monkeypatch: pytest.MonkeyPatch, code: str, count: int = 3) -> None:
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-c", f"import os, sys, time, signal\n{code}"])
    launch.run_ranks(count)


NUMBER = "rank = int(os.environ['RANK'])"


def test_every_rank_runs_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    launched(monkeypatch, "open(os.environ['RANK'] + '-' + os.environ['WORLD_SIZE'], 'w')")
    assert sorted(os.listdir(tmp_path)) == ["0-3", "1-3", "2-3"]


@pytest.mark.parametrize("number", [0, 2])
def test_a_killed_rank_ends_the_others_and_is_named(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    code = f"{NUMBER}\nif rank == {number}: os.kill(os.getpid(), signal.SIGKILL)\ntime.sleep(600)"
    monkeypatch.setattr(launch, "GRACE", 0.2)
    with pytest.raises(UserError, match=rf"^rank {number} of 3 \(process \d+\) was ended by SIGKILL; start"):
        launched(monkeypatch, code)


def test_a_lost_partner_is_not_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    code = f"{NUMBER}\ntime.sleep(rank / 2)\nsys.exit({launch.LOST} if rank < 2 else 'error: the reason')"
    with pytest.raises(UserError, match="^the reason$"):
        launched(monkeypatch, code)


def test_what_rank_0_has_said_is_not_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as ended:
        launched(monkeypatch, "sys.exit(1)")
    assert ended.value.code == 1
