"""The ranks (processes) that share the work of one command: which one this process is, and how they start.

A rank is told its place by whoever started it: torchrun, srun, a Kubernetes job, or `run_ranks` here, which
sets the same variables as torchrun. Imports no torch; how ranks exchange data is in `ranks`. Also here is
what every process, rank or not, does first, so that it works in any locale.
"""

from __future__ import annotations

import ctypes
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import IO, NoReturn

from dualperturb.errors import UserError


class LostRankError(UserError):
    """Another rank is gone, or cannot be reached."""


LOST = 75  # exit status of a rank whose partner is gone: the partner's own end is the one to report
POLL = 0.1  # seconds between two looks at the ranks
GRACE = 3.0  # seconds in which the others may end by themselves after the first failure
_LAUNCHER = "DUALPERTURB_LAUNCHER"  # names the process of `run_ranks` to the ranks that it started


def speak_utf8() -> None:
    """Let file names be UTF-8 in every locale, and print in escaped form what the terminal's encoding lacks.

    To be called first: in a locale of another encoding it starts this program anew, in Python's UTF-8 mode.
    """
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        spoken = {"PYTHONUTF8": "1", "PYTHONIOENCODING": f"{sys.stdout.encoding}:backslashreplace"}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | spoken)
    if isinstance(sys.stdout, io.TextIOWrapper):  # standard error does so by itself
        sys.stdout.reconfigure(errors="backslashreplace")


def keep_freed_memory() -> None:
    """Let glibc keep freed memory: its defaults cost small networks thousands of page faults per step."""
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # the names' values in malloc.h
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for option, size in ((mmap_threshold, 1 << 30), (trim_threshold, 1 << 30), (top_pad, 1 << 26)):
        mallopt(option, size)


def world_size() -> int:
    """The number of ranks, of which this process is one; 1 for a process on its own."""
    return _place()[1]


def rank() -> int:
    """This process's number among the ranks, from 0."""
    return _place()[0]


def ranks_here() -> int:
    """How many of the ranks run on this machine, one per device."""
    if "LOCAL_WORLD_SIZE" in os.environ:
        return int(os.environ["LOCAL_WORLD_SIZE"])
    # A Kubernetes job runs one rank per pod; with srun, --ntasks-per-node sets their number per node.
    return int(os.environ.get("SLURM_NTASKS_PER_NODE", "1"))


def launched_here() -> bool:
    """Whether `run_ranks` started this process, and so reports how it ended."""
    return _LAUNCHER in os.environ


def run_ranks(count: int) -> None:
    """Run this process's own command line `count` times, as the ranks of one run, and wait for the end.

    Rank 0 has the terminal; what the others print on standard error is shown only if they fail. When a rank
    fails, or is killed, the others are ended, too. Raises UserError with the reason, or SystemExit where rank
    0 has printed it.
    """
    with ExitStack() as stack:
        logs = [
            stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace"))
            for _ in range(count)
        ]
        port = _free_port()
        ranks = [_start(number, count, logs[number], port) for number in range(count)]
        try:
            failed = _first_failure(ranks)
        finally:
            for process in ranks:
                process.kill()
                process.wait()
        if failed is not None:
            raise _outcome(ranks, logs, failed)


def end_with_launcher() -> None:
    """Let the system end this rank when the process that started it dies, in whatever way."""
    if not launched_here():
        return
    end_with_parent()
    if os.getppid() != int(os.environ[_LAUNCHER]):  # the launcher died before the signal was requested
        raise SystemExit(LOST)


def end_with_parent() -> None:
    """Let the system end this process when the one that started it is killed."""
    parent_death_signal = 1  # PR_SET_PDEATHSIG in prctl.h
    ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)


def leave(status: int) -> NoReturn:
    """End this rank at once, whatever it is connected with.

    The interpreter's own end is avoided: there Fabric takes down the connection between GPUs, which waits for
    answers that the other ranks never give after an error, so that nobody would see that this one failed.
    """
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _place() -> tuple[int, int]:
    """Rank and number of ranks: torchrun's variables, or those of a SLURM job step."""
    for number, count in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")):
        if number in os.environ and count in os.environ:
            return int(os.environ[number]), int(os.environ[count])
    return 0, 1


def _start(number: int, count: int, log: IO[str], port: int) -> subprocess.Popen[bytes]:
    environment = {
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // count)),
        **os.environ,
        "RANK": str(number),
        "LOCAL_RANK": str(number),
        "NODE_RANK": "0",
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        _LAUNCHER: str(os.getpid()),
    }
    return subprocess.Popen(
        [sys.executable, *sys.orig_argv[1:]],
        env=environment,
        stdout=subprocess.DEVNULL if number else None,
        stderr=log if number else None,
    )


def _first_failure(ranks: list[subprocess.Popen[bytes]]) -> int | None:
    """Wait until every rank is done, or one has failed and the others had time to notice; return which."""
    failed: list[int] = []
    until = float("inf")
    while any(process.poll() is None for process in ranks) and time.monotonic() < until:
        failed += [n for n, process in enumerate(ranks) if process.poll() and n not in failed]
        if failed and until == float("inf"):
            until = time.monotonic() + GRACE
        time.sleep(POLL)
    failed += [n for n, process in enumerate(ranks) if process.poll() and n not in failed]
    reported = [n for n in failed if ranks[n].returncode != LOST]
    return next(iter(reported or failed), None)


def _outcome(ranks: list[subprocess.Popen[bytes]], logs: Sequence[IO[str]], failed: int) -> BaseException:
    code, first = ranks[failed].returncode, ranks[0].returncode
    if first > 0 and first != LOST:
        return SystemExit(first)
    again = "start the command again: training goes on from its last checkpoint, with any number of ranks"
    who = f"rank {failed} of {len(ranks)} (process {ranks[failed].pid})"
    if code < 0:
        return UserError(f"{who} was ended by {signal.Signals(-code).name}; {again}")
    logs[failed].seek(0)
    said = logs[failed].read().strip().removeprefix("error: ")
    return UserError(said or f"{who} ended with exit status {code}; {again}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
