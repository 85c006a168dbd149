"""Parts of one computation, worked on by several processes of this machine: `in_processes`.

Photographs have a way of their own, `datasets.pool`, which holds few of them in memory. Imports no torch.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from dualperturb import launch
from dualperturb.errors import UserError

Part = TypeVar("Part")
Result = TypeVar("Result")


def in_processes(work: Callable[[Part], Result], parts: Sequence[Part], processes: int) -> Iterator[Result]:
    """Yield what `work` returns for each part, in the order of the parts; `processes` of them are at work.

    With one process, or one part, it is this one. Others are fresh interpreters, because this one may have
    threads, with which a fork is unsafe: they import the program's main module, which must therefore do
    nothing when it is imported, and find `work` by its module and name. They share the cores, and end with
    this process. What `work` raises is raised at its part's turn. Raises UserError if a process is killed.
    """
    processes = min(processes, len(parts))
    if processes <= 1:
        yield from map(work, parts)
        return
    threads = max(1, len(os.sched_getaffinity(0)) // processes)
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin, (threads,)) as pool:
        try:
            yield from pool.map(work, parts)
        except BrokenProcessPool:
            raise UserError(
                f"one of {processes} processes was killed; if memory ran out, free some"
            ) from None


def _begin(threads: int) -> None:
    """What each process does first."""
    launch.end_with_parent()
    launch.keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches it, too: without a traceback
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
