"""Batch sizes that fit into memory: a size to begin with, which is halved whenever memory runs out."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

import torch

from dualperturb.errors import UserError

T = TypeVar("T")
BatchSize = int | Literal["auto"]

# A CPU gains nothing from larger batches, as measured with a small ResNet at 32x32 (128 images) and with
# ResNet-34 at 224x224 (4 images). They would only take memory, and a machine that has none left ends programs
# instead of refusing.
LARGEST_ON_CPU = 128
PIXELS_ON_CPU = 2**20
# Halved until it fits. Not derived from the free memory: ranks with different batches could not share work.
LARGEST_ON_GPU = 512

# What torch's errors say that are not OutOfMemoryError: those of its CPU allocator, of a GPU's libraries that
# lack room for their setup, of CUDA where torch's allocator was not asked, and of cuDNN where no engine's
# workspace fits.
_SIGNS = (
    "can't allocate memory",
    "not enough memory",
    "_STATUS_ALLOC_FAILED",
    "_STATUS_NOT_INITIALIZED",
    "CUDA error: out of memory",
    "unable to find an engine",
)


def first_size(asked: BatchSize, device: torch.device, side: int, copies: int = 1) -> int:
    """The number of images in a batch before memory has run out: as asked, or what `auto` means here.

    side: pixels; copies: how many of each image a pass holds at once, which only `auto` allows for.
    """
    if asked != "auto":
        return asked
    largest = LARGEST_ON_GPU
    if device.type == "cpu":
        largest = min(LARGEST_ON_CPU, PIXELS_ON_CPU // side**2)
    return max(1, largest // copies)


class Portions:
    """Runs work on images slice by slice, in shorter slices from the first out-of-memory error on.

    A size that did not fit is remembered: no later work of the same object begins with as many images. unit:
    the name of what is counted, for the printed line.
    """

    def __init__(self, unit: str = "images") -> None:
        self.unit = unit
        self._limit: int | None = None

    def run(self, work: Callable[[slice], T], count: int, most: int | None = None) -> list[T]:
        """The results of `work` for the slices of `count` images, in order; most: the most images of a slice.

        Work that ran out of memory is called again with the first half of its slice, so it must be able to
        repeat what it changes; slices done before stay done. Raises UserError where a single image does not
        fit.
        """
        found: list[T] = []
        first = 0
        while first < count:
            size = min(most or count, self._limit or count)
            part = slice(first, min(first + size, count))
            done = _tried(work, part)
            if isinstance(done, str):
                self._halve(part.stop - part.start, done)
            else:
                found.append(done[0])
                first = part.stop
        return found

    def _halve(self, size: int, words: str) -> None:
        if size == 1:
            raise UserError(
                f"out of memory with 1 of the {self.unit} at a time; accepted: a device with more memory, or "
                f"with fewer programs that share it ({words})"
            )
        self._limit = size // 2
        print(f"out of memory with a batch of {size} {self.unit}; going on with {self._limit}", flush=True)


@contextmanager
def enough_memory(otherwise: str) -> Iterator[None]:
    """Raise UserError where the body runs out of memory: the line `otherwise`, then the error's own in
    brackets. For a body that is done whole or not at all.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise UserError(f"{otherwise} ({told(error)})") from None


def out_of_memory(error: BaseException) -> bool:
    """Whether a device's or the machine's memory ran out, or may have: some signs have other causes, too."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def told(error: BaseException) -> str:
    """An error's own words, on one line that is not too long."""
    return " ".join(str(error).split())[:160] or type(error).__name__


def _tried(work: Callable[[slice], T], part: slice) -> tuple[T] | str:
    """The work's result, or the error's words where memory ran out, once the work's memory is free again."""
    try:
        return (work(part),)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        words = told(error)
    # Only here, for in the block above the error still holds the work's tensors.
    gc.collect()
    torch.cuda.empty_cache()
    return words
