"""The import of the public STL-10 segmentations as a folder of masks that `masks: {source: files}` reads.

S. Yagli published them (repository semihyagli/STL10_Segmentation, MIT licence), with one JSON file for
each split and class:

    stl10_SPLIT_CLASS.json   {"INDEX": {"CLASS_0": [[x, y], ...], "CLASS_1": ...}, ...}

where INDEX counts the images of the split from 0 and [x, y] marks a square of 6x6 pixels, x to the right and
y downwards, on a grid of 16x16. A mark at 16 lies outside the image and marks nothing. The foreground of an
image is the union of its objects.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dualperturb.core.images import SPLITS
from dualperturb.datasets.stl10 import SIDE
from dualperturb.errors import UserError
from dualperturb.files import entries, refuse_special, replacing

GRID = 16
_SQUARE = SIDE // GRID


@dataclass(frozen=True)
class Imported:
    """How many masks were written, by split, and how many JSON files were read."""

    masks: dict[str, int]
    files: int


def import_masks(source: Path, out: Path) -> Imported:
    """Write `out/SPLIT/INDEX.png`, 96x96 pixels, 255 where there is foreground, for each marked image.

    An image of which no square is marked gets no file: it counts as missing where the masks are read.
    Raises UserError for a folder without such JSON files, a file of another layout, an image in two files, or
    an `out` that exists and holds anything but masks.
    """
    accepted = "accepted for --marks: a folder of stl10_train_CLASS.json or stl10_test_CLASS.json"
    there = entries(source, accepted) if os.path.exists(source) else []
    files = {split: [path for path in there if path.match(f"stl10_{split}_*.json")] for split in SPLITS}
    if not any(files.values()):
        raise UserError(f"{source}: holds no stl10_train_CLASS.json or stl10_test_CLASS.json")
    _check_replaceable(out)
    with replacing(out) as folder:
        masks = {split: _write(files[split], folder / split) for split in SPLITS}
    return Imported(masks, sum(map(len, files.values())))


def _write(files: list[Path], folder: Path) -> int:
    folder.mkdir(parents=True)
    origin: dict[int, Path] = {}
    for path in files:
        for index, marked in _marks(path).items():
            if index in origin:
                raise UserError(
                    f"{path}: image {index} is in {origin[index].name}, too; accepted: in one file"
                )
            origin[index] = path
            if marked.any():
                pixels = np.kron(marked, np.ones((_SQUARE, _SQUARE), np.uint8)) * np.uint8(255)
                Image.fromarray(pixels).save(folder / f"{index:05d}.png")
    return sum(1 for _ in folder.iterdir())


def _marks(path: Path) -> dict[int, np.ndarray]:
    """Index -> marked squares, uint8 (16, 16), rows first."""
    try:
        refuse_special(path)
        content = json.loads(path.read_bytes())
        return {_index(text): _grid(objects) for text, objects in content.items()}
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); accepted: a JSON file of marks"
        ) from error
    except (
        ValueError,
        AttributeError,
        TypeError,
        RecursionError,
    ) as error:  # JSON's own errors are ValueErrors
        raise UserError(
            f"{path}: {error}; accepted: JSON of the form {{index: {{object: [[x, y], ...]}}}}, x and y "
            f"from 0 to {GRID}"
        ) from error


def _index(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"found the image {text!r}")
    return int(text)


def _grid(objects: dict[str, Any]) -> np.ndarray:
    grid = np.zeros((GRID + 1, GRID + 1), np.uint8)
    for squares in objects.values():
        for x, y in squares:
            if not (type(x) is type(y) is int and 0 <= x <= GRID and 0 <= y <= GRID):
                raise ValueError(f"found a mark at [{x}, {y}]")
            grid[y, x] = 1
    return grid[:GRID, :GRID]


def _check_replaceable(out: Path) -> None:
    """An earlier import may be replaced, anything else may be somebody's work."""
    there = entries(out, "accepted for --out: a folder") if os.path.exists(out) else []
    other = [path for path in there if path.name not in SPLITS]
    if other:
        raise UserError(f"--out {out}: holds {other[0].name}; accepted: a new folder or an earlier import")
