from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dualperturb.errors import UserError
from dualperturb.processes import in_processes


def slow_first(part: int) -> tuple[int, int, str | None]:
    time.sleep(0.5 if part == 0 else 0.0)
    return part, os.getpid(), os.environ.get("OMP_NUM_THREADS")


def refused(part: int) -> int:
    if part == 1:
        raise UserError(f"part: found {part}; accepted: 0")
    return part


def killed(part: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def told(folder: Path) -> None:
    (folder / str(os.getpid())).touch()
    time.sleep(60)


@pytest.mark.parametrize(("processes", "parts"), [(1, 3), (2, 1), (2, 0)])
def test_one_process_or_part_is_worked_on_here(processes: int, parts: int) -> None:
    found = list(in_processes(slow_first, range(parts), processes))
    assert [part for part, *_ in found] == list(range(parts))
    assert {process for _, process, _ in found} <= {os.getpid()}


def test_results_are_in_the_order_of_the_parts_and_cores_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    found = list(in_processes(slow_first, range(4), 2))
    assert [part for part, *_ in found] == [0, 1, 2, 3]
    workers = {process for _, process, _ in found}
    assert len(workers) == 2 and os.getpid() not in workers
    assert {threads for *_, threads in found} == {"3"}
    assert multiprocessing.active_children() == []


def test_threads_that_the_user_chose_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert {threads for *_, threads in in_processes(slow_first, range(2), 2)} == {"7"}


def test_an_error_of_the_work_is_raised_at_its_turn() -> None:
    results = in_processes(refused, range(3), 2)
    assert next(results) == 0
    with pytest.raises(UserError, match="^part: found 1; accepted: 0$"):
        next(results)
    assert multiprocessing.active_children() == []


def test_a_killed_process_is_one_line() -> None:
    with pytest.raises(UserError, match="^one of 2 processes was killed; if memory ran out, free some$"):
        list(in_processes(killed, range(3), 2))
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_processes_do_not_outlive_the_one_that_started_them(tmp_path: Path, how: signal.Signals) -> None:
    code = f"from pathlib import Path; from tests.test_processes import *; f = Path({str(tmp_path)!r})"
    parent = subprocess.Popen(
        [sys.executable, "-c", f"{code}; list(in_processes(told, [f, f], 2))"],
        cwd=Path(__file__).parents[1],
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    until = time.monotonic() + 60
    while len(started := list(tmp_path.iterdir())) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    if how == signal.SIGINT:  # as a terminal sends it: to all of them
        os.killpg(parent.pid, how)
    else:
        parent.send_signal(how)
    _, printed = parent.communicate(timeout=60)
    assert printed.count("Traceback") == (how == signal.SIGINT), "the parent's own alone"
    while not all(gone(entry.name) for entry in started):
        assert time.monotonic() < until
        time.sleep(0.05)


def gone(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
