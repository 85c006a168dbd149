"""The running loss and accuracy of an epoch, read without keeping a GPU waiting."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from dualperturb.errors import UserError


class EpochMeans:
    """Running mean loss and accuracy of one epoch; epochs count from 0."""

    def __init__(self, epoch: int) -> None:
        self.epoch, self.batches, self.images, self.correct, self.total_loss = epoch, 0, 0, 0, 0.0

    def add(self, loss: float, correct: float, images: float) -> None:
        """Count one batch, given its mean loss. Raises UserError if the loss is not finite."""
        self.batches += 1
        if not math.isfinite(loss):
            raise diverged(f"the loss became {loss} in epoch {self.epoch + 1}, batch {self.batches}")
        self.images += int(images)
        self.correct += int(correct)
        self.total_loss += loss * images

    @property
    def loss(self) -> float:
        return self.total_loss / self.images

    @property
    def accuracy(self) -> float:
        return self.correct / self.images


def diverged(what: str) -> UserError:
    return UserError(f"training: {what}; a smaller optimiser.learning_rate is the usual cure")


def read(batches: Iterable[Tensor], behind: int) -> Iterator[list[float]]:
    """The numbers that each batch leaves on its device, in order, `behind` batches late and none left out.

    With `behind` 1, a GPU has the next batch to work on while the host waits for the numbers of the last one.
    """
    coming: deque[_Coming] = deque()
    for numbers in batches:
        coming.append(_Coming(numbers))
        if len(coming) > behind:
            yield coming.popleft().read()
    for each in coming:
        yield each.read()


class _Coming:
    """Numbers on their way to the host."""

    def __init__(self, numbers: Tensor) -> None:
        # A plain copy would wait for all that the GPU has to do, the next batch included.
        self._numbers = numbers.to("cpu", non_blocking=True)
        self._there = torch.cuda.current_stream(numbers.device).record_event() if numbers.is_cuda else None

    def read(self) -> list[float]:
        if self._there is not None:
            self._there.synchronize()
        numbers: list[float] = self._numbers.tolist()
        return numbers
