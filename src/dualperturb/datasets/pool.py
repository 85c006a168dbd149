"""Photographs decoded by several processes: results in the order of the files, few in memory at a time.

Each process has its own pipe, and no queue is shared. If a process is killed, even while it sends, the end of
its pipe shows that at once, and the file that it was reading is known.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.resource_tracker import ensure_running
from pathlib import Path

from dualperturb.datasets.reading.decode import Picture, UnreadableError, read_photo
from dualperturb.errors import UserError

# The arguments of `decode.read_photo` (image, mask or None, resize, side), and its result or its error.
Task = tuple[Path, Path | None, int, int]
Outcome = Picture | UnreadableError
Decode = Callable[[Sequence[Task]], Iterator[Outcome]]

MOST_PROCESSES = 8  # however many CPUs there are, since each process takes some 100 MB
IMAGES_A_PROCESS = 100  # with fewer images, starting a process takes longer than it saves
TASKS_A_PROCESS = 2  # one at work, one waiting


def processes_for(count: int) -> int:
    """How many processes are worth starting for `count` images on the CPUs that may be used; at least 1."""
    return max(1, min(len(os.sched_getaffinity(0)), MOST_PROCESSES, count // IMAGES_A_PROCESS))


@contextmanager
def decoding(processes: int) -> Iterator[Decode]:
    """Yield a function that decodes files in order; with 1 process, the calling process decodes them.

    The function's iterator yields one outcome per task and never holds more than a few per process. It raises
    UserError for a mask that is not its image's, when that image's turn comes, and when a process is killed.
    It must be exhausted before the function is called again. The processes end with the context, however the
    context ends. They import the program's main module, which must therefore do nothing when it is imported.
    """
    if processes == 1:
        yield partial(map, _attempt)
        return
    # Fresh interpreters, because this one may have threads, with which a fork is unsafe.
    context = multiprocessing.get_context("spawn")
    workers: list[_Worker] = []
    try:
        with _deaf_to_interrupts():
            for _ in range(processes):
                ours, theirs = context.Pipe()
                process = context.Process(target=_work, args=(theirs,), daemon=True)
                process.start()
                theirs.close()
                workers.append(_Worker(process, ours))
        yield partial(_in_order, workers)
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join()
            worker.connection.close()


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Keep Ctrl-C, which reaches child processes too, from those started in here: their parent ends them."""
    ensure_running()  # otherwise it starts with the first process, and unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass
class _Worker:
    """A process, our end of its pipe, and the numbers of the tasks that it has not answered yet."""

    process: BaseProcess
    connection: Connection
    tasks: deque[int] = field(default_factory=deque)


def _attempt(task: Task) -> Outcome:
    try:
        return read_photo(*task)
    except UnreadableError as error:
        return error


def _work(connection: Connection) -> None:
    with suppress(EOFError, ConnectionError):  # the process at the other end is gone
        while True:
            task = connection.recv()
            try:
                outcome: Outcome | Exception = _attempt(task)
            except Exception as error:  # raised again at the other end
                outcome = error
            connection.send(outcome)


def _in_order(workers: Sequence[_Worker], tasks: Sequence[Task]) -> Iterator[Outcome]:
    outcomes: dict[int, Outcome | Exception] = {}
    sent = 0
    for number in range(len(tasks)):
        # Not further ahead of `number` than twice the tasks under way: a slow image must not fill the memory.
        until = min(len(tasks), number + 2 * TASKS_A_PROCESS * len(workers))
        sent = _send(workers, tasks, sent, until)
        while number not in outcomes:
            _receive(workers, tasks, outcomes)
            sent = _send(workers, tasks, sent, until)
        outcome = outcomes.pop(number)
        if isinstance(outcome, Exception) and not isinstance(outcome, UnreadableError):
            raise outcome
        yield outcome


def _send(workers: Sequence[_Worker], tasks: Sequence[Task], sent: int, until: int) -> int:
    """Give each process the tasks that it has room for; return how many have been given out by now."""
    for worker in sorted(workers, key=lambda worker: len(worker.tasks)):
        while sent < until and len(worker.tasks) < TASKS_A_PROCESS:
            worker.tasks.append(sent)
            try:
                worker.connection.send(tasks[sent])
            except ConnectionError as error:
                raise _killed(worker, tasks) from error
            sent += 1
    return sent


def _receive(
    workers: Sequence[_Worker], tasks: Sequence[Task], outcomes: dict[int, Outcome | Exception]
) -> None:
    """Wait until at least one process has answered."""
    by_connection = {worker.connection: worker for worker in workers}
    for connection in wait(list(by_connection)):
        worker = by_connection[connection]  # type: ignore[index]
        try:
            outcome = worker.connection.recv()
        except (EOFError, OSError) as error:
            raise _killed(worker, tasks) from error
        outcomes[worker.tasks.popleft()] = outcome


def _killed(worker: _Worker, tasks: Sequence[Task]) -> UserError:
    worker.process.join(timeout=1)
    where = f"{tasks[worker.tasks[0]][0]}: " if worker.tasks else ""
    code = worker.process.exitcode
    how = f"killed by signal {-code}" if code is not None and code < 0 else f"ended with code {code}"
    return UserError(
        f"{where}the process that reads images was {how}; if memory ran out, free some; if it is always this "
        "image, remove it"
    )
