"""Rows of shapes6, as the prepared folder takes them, drawn part by part in several processes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from dualperturb.datasets.pool import processes_for
from dualperturb.datasets.shapes6.drawing import draw
from dualperturb.processes import in_processes

PART = 1000  # images; starting a process takes as long as drawing some hundred

Drawn = tuple[np.ndarray, np.ndarray, np.ndarray]


def rows(
    count: int, seed: int, split: str, background_match: float
) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
    """Image, label and foreground of each image that `draw` returns for the same arguments, in its order."""
    parts = [range(first, min(first + PART, count)) for first in range(0, count, PART)]
    drawn = partial(_draw, seed=seed, split=split, background_match=background_match)
    for images, labels, foreground in in_processes(drawn, parts, processes_for(count)):
        yield from zip(images, labels.tolist(), foreground, strict=True)


def _draw(part: range, seed: int, split: str, background_match: float) -> Drawn:
    return draw(len(part), seed, split, background_match, part.start)
