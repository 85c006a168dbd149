"""Progress that a person can follow on a terminal; next to nothing elsewhere, where lines fill a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class TrainingProgress:
    """Context manager whose instance is the `Progress` callback of `training.train`.

    On a terminal: one live line with epoch, batches, loss, accuracy and the time left, gone at the end.
    Elsewhere: one short line at the end of each epoch. title: what is trained; epochs: in all; console: by
    default standard error.
    """

    def __init__(self, title: str, epochs: int, console: Console | None = None) -> None:
        self.title, self.epochs = title, epochs
        self.console = console or Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("batch {task.fields[batch]}"),
            TextColumn("loss {task.fields[loss]:.3f}, accuracy {task.fields[accuracy]:.1%}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self._task: TaskID | None = None

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
        if self.console.is_terminal:
            fields = {"batch": f"{done}/{batches}", "loss": loss, "accuracy": accuracy}
            self._show(where, epoch * batches + done, self.epochs * batches, fields)
        elif done == batches:
            self.console.print(
                f"{where}, loss {loss:.3f}, accuracy {accuracy:.1%}", highlight=False, soft_wrap=True
            )

    def _show(self, where: str, completed: int, total: int, fields: dict[str, Any]) -> None:
        if self._task is None:
            # Epochs of an earlier run are no part of this run's speed, which the time left is taken from.
            self._task = self._bar.add_task(where, total=total, completed=completed - 1, **fields)
        self._bar.update(self._task, description=where, completed=completed, **fields)


@contextmanager
def counting(
    description: str, total: int | None = None, console: Console | None = None
) -> Iterator[Callable[[int, int], None]]:
    """Yield a callback (done, total) that moves a bar on a terminal and prints nothing elsewhere.

    total: how many in all, if known before the first call, which says so. console: by default standard error.
    """
    console = console or Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show
