from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dualperturb.datasets import pool
from dualperturb.datasets.pool import Task, decoding, processes_for
from dualperturb.datasets.reading.decode import UnreadableError
from dualperturb.errors import UserError

SIDE = 8


def write(folder: Path, count: int, side: int = SIDE) -> list[Task]:
    """Images of one grey value each, their number in the order, and the tasks that read them."""
    tasks: list[Task] = []
    for number in range(count):
        path = folder / f"{number:03d}.png"
        Image.new("RGB", (SIDE, SIDE), (number, number, number)).save(path)
        tasks.append((path, None, side, side))
    return tasks


def values(outcomes: Iterator[pool.Outcome]) -> list[int | str]:
    """The grey value of each image, or why it could not be read."""
    return [str(one) if isinstance(one, UnreadableError) else int(one[0][0, 0, 0]) for one in outcomes]


@pytest.mark.parametrize("processes", [1, 3])
def test_outcomes_are_in_the_order_of_the_files(tmp_path: Path, processes: int) -> None:
    tasks = write(tmp_path, 40)
    tasks[7][0].write_text("no picture")
    # One that takes far longer than the others must not be overtaken.
    Image.new("RGB", (3000, 3000), (3, 3, 3)).save(tasks[3][0])
    with decoding(processes) as decode:
        expected = [*range(7), "no image format that can be read here", *range(8, 40)]
        assert values(decode(tasks)) == expected
        assert values(decode(tasks[:2])) == [0, 1] and values(decode([])) == []


@pytest.mark.parametrize("processes", [1, 2])
def test_mask_that_is_not_its_images_is_refused_at_its_place(tmp_path: Path, processes: int) -> None:
    tasks = write(tmp_path, 20)
    Image.new("L", (SIDE, SIDE + 1), 255).save(tmp_path / "mask.png")
    tasks[5] = (tasks[5][0], tmp_path / "mask.png", SIDE, SIDE)
    seen = []
    with decoding(processes) as decode, pytest.raises(UserError, match=r"mask\.png: the mask is 8x9 pixels"):
        for outcome in decode(tasks):
            seen.append(outcome)
    assert len(seen) == 5


def test_masks_come_back_with_their_images(tmp_path: Path) -> None:
    tasks = write(tmp_path, 4)
    Image.new("L", (SIDE, SIDE), 255).save(tmp_path / "mask.png")
    with decoding(2) as decode:
        for _, mask, _ in decode([(path, tmp_path / "mask.png", SIDE, SIDE) for path, *_ in tasks]):
            assert mask.shape == (1, SIDE, SIDE) and mask.dtype == np.bool_ and mask.all()


class Watched(list[Task]):
    """Remembers the largest index that was asked for."""

    furthest = -1

    def __getitem__(self, index):  # type: ignore[no-untyped-def, override]
        self.furthest = max(self.furthest, index)
        return super().__getitem__(index)


def test_few_images_are_under_way_at_once(tmp_path: Path) -> None:
    tasks = Watched(write(tmp_path, 60))
    with decoding(2) as decode:
        for number, _ in enumerate(decode(tasks)):
            assert tasks.furthest < number + 2 * pool.TASKS_A_PROCESS * 2
    assert tasks.furthest == 59


@pytest.mark.parametrize(
    "side", [SIDE, 600]
)  # 600: a process is killed while it sends more than a pipe holds
def test_killed_process_is_one_line_that_names_an_image(tmp_path: Path, side: int) -> None:
    tasks = write(tmp_path, 40, side)
    with decoding(2) as decode:
        outcomes = decode(tasks)
        next(outcomes)
        time.sleep(0.2)
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGKILL)
        message = r"0\d\d\.png: the process that reads images was killed by signal 9; if memory ran out, free"
        with pytest.raises(UserError, match=message):
            list(outcomes)
    assert multiprocessing.active_children() == []


def test_processes_leave_ctrl_c_to_the_one_that_started_them(tmp_path: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with decoding(2) as decode:
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
        next(decode(write(tmp_path, 20)))
        for child in multiprocessing.active_children():
            status = Path(f"/proc/{child.pid}/status").read_text()
            blocked = int(status.partition("SigBlk:")[2].split()[0], 16)
            assert blocked >> (signal.SIGINT - 1) & 1


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError])
def test_processes_end_with_the_context(tmp_path: Path, interruption: type[BaseException]) -> None:
    with pytest.raises(interruption), decoding(2) as decode:
        next(decode(write(tmp_path, 20)))
        assert len(multiprocessing.active_children()) == 2
        raise interruption
    assert multiprocessing.active_children() == []


SCRIPT = """
import multiprocessing, sys
from pathlib import Path
from dualperturb.datasets.pool import decoding

if __name__ == "__main__":
    with decoding(2) as decode:
        for number, _ in enumerate(decode([(Path(sys.argv[1]), None, 600, 600)] * 100_000)):
            if number == 0:
                print(*(child.pid for child in multiprocessing.active_children()), flush=True)
"""


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_processes_do_not_outlive_the_one_that_started_them(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    image = write(tmp_path, 1)[0][0]
    command = [sys.executable, str(tmp_path / "script.py"), str(image)]
    parent = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    )
    assert parent.stdout is not None
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2 and not any(map(gone, workers))
    if how == signal.SIGINT:  # as a terminal sends it: to all of them
        os.killpg(parent.pid, how)
    else:
        parent.send_signal(how)
    parent.wait(timeout=30)
    assert wait_for(lambda: all(map(gone, workers)))


@pytest.mark.parametrize(
    ("cpus", "count", "processes"),
    [(2, 13_000, 2), (2, 199, 1), (2, 200, 2), (64, 13_000, 8), (64, 500, 5), (1, 13_000, 1), (4, 0, 1)],
)
def test_processes_follow_cpus_and_images(
    monkeypatch: pytest.MonkeyPatch, cpus: int, count: int, processes: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cpus)))
    assert processes_for(count) == processes
