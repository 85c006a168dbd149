"""Progress that a person can follow on a terminal; next to nothing elsewhere, where lines fill a log."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import IO, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

# The variable that names a file descriptor for reports. Where several processes share a terminal, the one
# that started them reads the reports there and draws for all.
REPORTS_TO = "DUALPERTURB_PROGRESS"


class TrainingProgress:
    """Context manager whose instance is the `Progress` callback of `training.train`.

    On a terminal: one live line with epoch, batches, loss, accuracy and the time left, gone at the end.
    Elsewhere: one short line at the end of each epoch. title: what is trained; epochs: their number in all;
    console: by default standard error.
    """

    def __init__(self, title: str, epochs: int, console: Console | None = None) -> None:
        self.title, self.epochs = title, epochs
        self.console = console or Console(stderr=True)
        self._bar = _training_bar(self.console)
        self._task: TaskID | None = None
        self._reports = None if console else os.environ.get(REPORTS_TO)

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, epoch: int, done: int, batches: int, loss: float, accuracy: float) -> None:
        """After a batch: epoch from 0, batches done and in all, the epoch's mean loss and accuracy so far."""
        where = f"{self.title}: epoch {epoch + 1}/{self.epochs}"
        what = f"loss {loss:.3f}, accuracy {accuracy:.1%}"
        now = _Line(where, f"batch {done}/{batches} {what}", epoch * batches + done, self.epochs * batches)
        if self._reports is not None:
            os.write(int(self._reports), json.dumps(now).encode() + b"\n")
        elif self.console.is_terminal:
            self._task = _show(self._bar, self._task, now)
        elif done == batches:
            self.console.print(f"{where}, {what}", highlight=False, soft_wrap=True)


@contextmanager
def one_display(console: Console | None = None) -> Iterator[Callable[[IO[str]], None] | None]:
    """Yield a function that draws the live line of another process's training from its reports, to their end.

    All lines share one display. Yields None where the console (by default standard error) is no terminal:
    then a training prints its lines by itself.
    """
    console = console or Console(stderr=True)
    bar = _training_bar(console)

    def follow(reports: IO[str]) -> None:
        task = None
        for report in reports:
            bar.start()  # not earlier: a process without progress to show leaves no empty line
            task = _show(bar, task, _Line(*json.loads(report)))
        if task is not None:
            bar.remove_task(task)

    try:
        yield follow if console.is_terminal else None
    finally:
        bar.stop()


class _Line(NamedTuple):
    where: str
    what: str
    completed: int  # batches, of all epochs
    total: int


def _training_bar(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[what]}"),
        TimeRemainingColumn(),
    )
    # What is printed meanwhile goes above the bar, unless it goes elsewhere.
    return Progress(
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),
    )


def _show(bar: Progress, task: TaskID | None, now: _Line) -> TaskID:
    if task is None:
        # Epochs of an earlier run do not count for this run's speed, from which the time left is computed.
        task = bar.add_task(now.where, total=now.total, completed=now.completed - 1, what=now.what)
    bar.update(task, description=now.where, completed=now.completed, what=now.what)
    return task


@contextmanager
def counting(
    description: str, total: int | None = None, console: Console | None = None
) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback (done, total) that moves a bar on a terminal and prints nothing elsewhere.

    total: the number in all, if known beforehand; the calls give it, too. console: by default standard error.
    """
    console = console or Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show
