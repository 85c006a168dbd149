"""Rows of memory-mapped arrays, asked of the disk before they are read.

Otherwise every page is fetched only when it is touched, one after the other, along with whatever the system
reads ahead, which is of no use for rows in random order.
"""

from __future__ import annotations

import mmap
from contextlib import suppress

import numpy as np

# Bytes of one request. From a longer one Linux fetches no more than its read-ahead or the disk's longest
# transfer, whichever is more; both are often 128 kB.
PIECE = 1 << 17


def prefetch(array: np.ndarray, rows: np.ndarray) -> None:
    """Have the system fetch these rows of a mapped array, without waiting for them or changing the array.

    rows: int64 (N,), from 0. Does nothing for an array in memory, for one whose rows are not contiguous, and
    where the system takes no advice; what is in memory already is not fetched again.
    """
    source = _map_under(array)
    if source is None or not hasattr(source, "madvise") or not array[:1].flags.c_contiguous:
        return
    first = _address(array) - _address(np.frombuffer(source, np.uint8))
    step, size = array.strides[0], array[:1].nbytes
    with suppress(OSError):  # a file system that refuses: rows are then read when they are touched
        for row in rows.tolist():
            start = first + row * step
            for piece in range(start - start % mmap.PAGESIZE, start + size, PIECE):
                source.madvise(mmap.MADV_WILLNEED, piece, min(PIECE, start + size - piece))


def _map_under(array: np.ndarray) -> mmap.mmap | None:
    """The memory map from which the array, or the array that it is a view of, takes its values, if any."""
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])
