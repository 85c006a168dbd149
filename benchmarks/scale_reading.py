"""Images at random, with their masks, out of files: from the disk and from memory, in several ways.

Medians of the rounds in which the ways take turns; every round has images of its own. The disk's rates are by
the clock; those of the memory are of a core, from CPU time, which other work on the machine does not change.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from statistics import median
from unittest.mock import patch

import numpy as np
import torch

from dualperturb.training import batches as loader
from dualperturb.training.batches import Drawn, when_asked

BATCH = 64
ROUNDS = 5
Row = tuple[str, float, str]
# What the maps are advised, and whether the loader asks for rows ahead, as it does.
WAYS = {
    "page faults": (mmap.MADV_NORMAL, False),
    "page faults, no read-ahead": (mmap.MADV_RANDOM, False),
    "loader": (mmap.MADV_NORMAL, True),
    "loader, no read-ahead": (mmap.MADV_RANDOM, True),
}


def ways_of_reading(arrays: list[np.ndarray], files: list[Path]) -> Iterator[Row]:
    """Images a second, and the bytes that came from the disk for each one used."""
    random = np.random.default_rng(1)
    for state, batches in (("cold", 4), ("warm", 40)):
        warm = state == "warm"
        now = time.process_time if warm else time.perf_counter
        rates: dict[str, list[float]] = {way: [] for way in WAYS}
        shares: dict[str, list[float]] = {way: [] for way in WAYS}
        for way in list(WAYS) * ROUNDS:
            forget(arrays, files)
            for file in files if warm else ():
                _read(file)
            draws = [_drawn(random, len(arrays[0])) for _ in range(batches)]
            rate, share = _measured(arrays, draws, *WAYS[way], now)
            rates[way].append(rate)
            shares[way].append(share)
        for way in WAYS:
            yield f"{state}, {way}", median(rates[way]), "images/s a core" if warm else "images/s"
            if not warm:
                yield f"{state}, {way}: bytes for one used", median(shares[way]), ""


def _drawn(random: np.random.Generator, count: int) -> Drawn:
    nothing = np.zeros(0, np.int64)
    return Drawn(random.permutation(count)[:BATCH], nothing, nothing, 1.0)


def _measured(
    arrays: list[np.ndarray], draws: list[Drawn], advice: int, asks: bool, now: Callable[[], float]
) -> tuple[float, float]:
    for array in arrays:
        _map(array).madvise(advice)
    begun, before, used = now(), _read_bytes(), 0
    with asking(asks):
        for _, tensors in when_asked(tuple(arrays), torch.device("cpu"))(draws):
            used += sum(tensor.nbytes for tensor in tensors)
    taken, fetched = now() - begun, _read_bytes() - before
    return sum(len(drawn.chosen) for drawn in draws) / taken, fetched / used


def asking(asks: bool) -> AbstractContextManager[object]:
    """The loader as it is, or one that asks the disk for nothing ahead."""
    return patch.object(loader, "prefetch", loader.prefetch if asks else lambda *_: None)


def forget(arrays: list[np.ndarray], files: list[Path]) -> None:
    """Drop files from the page cache; advice on their maps is taken back."""
    for array, file in zip(arrays, files, strict=True):
        _map(array).madvise(mmap.MADV_DONTNEED)
        _map(array).madvise(mmap.MADV_NORMAL)
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _map(array: np.ndarray) -> mmap.mmap:
    assert isinstance(array.base, mmap.mmap), "an array of a file"
    return array.base


def _read(file: Path) -> None:
    with file.open("rb") as opened:
        while opened.read(1 << 24):
            pass


def _read_bytes() -> int:
    """What this process has had fetched from disks, read-ahead included."""
    lines = (line.split() for line in Path("/proc/self/io").read_text(encoding="utf-8").splitlines())
    return next(int(words[1]) for words in lines if words[0] == "read_bytes:")
