"""The reader of STL-10's official binary files. The set's unlabelled images are never read.

    ROOT/train_X.bin, ROOT/test_X.bin   images one after another, 3x96x96 bytes each, columns first
    ROOT/train_y.bin, ROOT/test_y.bin   their labels, one byte each, 1 to 10
    ROOT/class_names.txt                ten names, one a line

Coates, Ng and Lee, "An analysis of single-layer networks in unsupervised feature learning", 2011.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from dualperturb.core.images import SPLITS, Row
from dualperturb.errors import UserError
from dualperturb.files import refuse_special

SIDE = 96
CLASSES = 10
IMAGE_BYTES = 3 * SIDE * SIDE
OFFICIAL_MD5 = {
    "train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
    "train_y.bin": "5a34089d4802c674881badbb80307741",
    "test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
    "test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
}
NAMES = "class_names.txt"
FILES = (*OFFICIAL_MD5, NAMES)


@dataclass(frozen=True)
class Survey:
    """The contents of a raw folder: class names; each split's labels from 0, int64 (N,); MD5 sums by file."""

    class_names: tuple[str, ...]
    labels: dict[str, np.ndarray]
    md5: dict[str, str]

    @property
    def unofficial(self) -> list[str]:
        """The files whose MD5 sum is not the official one."""
        return [name for name, official in OFFICIAL_MD5.items() if self.md5[name] != official]


def survey(root: Path) -> Survey:
    """Check the five files of a raw folder, all but the pixels.

    Raises UserError for a file that is absent or no file, a size that is no multiple of an image, labels out
    of range, or unequal numbers of images and labels.
    """
    sizes = {name: _size(root, name) for name in FILES}
    names = tuple((root / NAMES).read_text(encoding="utf-8", errors="replace").split())
    if len(names) != CLASSES:
        raise UserError(f"{root / NAMES}: {len(names)} names; accepted: {CLASSES}, one a line")
    labels = {split: _labels(root, split, sizes[f"{split}_X.bin"]) for split in SPLITS}
    return Survey(names, labels, {name: md5(root / name) for name in OFFICIAL_MD5})


def read(root: Path, found: Survey, split: str, wanted: int | Literal["all"]) -> Iterator[Row]:
    """Yield the first `wanted` rows of a split (see `images.write_split`), one in memory at a time.

    Raises UserError if the split holds fewer.
    """
    labels = found.labels[split][: total(root, found, split, wanted)]
    for label, image in zip(labels, _images(root, split), strict=False):
        yield image, int(label), None


def total(root: Path, found: Survey, split: str, wanted: int | Literal["all"]) -> int:
    """How many rows `read` yields. Raises UserError if the split holds fewer than are wanted."""
    there = len(found.labels[split])
    if wanted == "all":
        return there
    if wanted > there:
        raise UserError(f"stl10.data.{split}: {wanted} images asked for, {root / split}_X.bin holds {there}")
    return wanted


def md5(path: Path) -> str:
    """Hexadecimal MD5 sum of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _images(root: Path, split: str) -> Iterator[np.ndarray]:
    with (root / f"{split}_X.bin").open("rb") as file:
        while content := file.read(IMAGE_BYTES):
            yield np.frombuffer(content, np.uint8).reshape(3, SIDE, SIDE).transpose(0, 2, 1)


def _labels(root: Path, split: str, image_bytes: int) -> np.ndarray:
    images, labels = root / f"{split}_X.bin", root / f"{split}_y.bin"
    if image_bytes == 0 or image_bytes % IMAGE_BYTES:
        raise UserError(
            f"{images}: {image_bytes} bytes; accepted: a multiple of {IMAGE_BYTES}, the bytes of an image"
        )
    values = np.fromfile(labels, np.uint8).astype(np.int64)
    if len(values) != image_bytes // IMAGE_BYTES:
        raise UserError(
            f"{labels}: {len(values)} labels, {images.name} holds {image_bytes // IMAGE_BYTES} images; "
            "accepted: one label an image"
        )
    wrong = np.flatnonzero((values < 1) | (values > CLASSES))
    if len(wrong):
        raise UserError(f"{labels}: label {wrong[0]} is {values[wrong[0]]}; accepted: 1 to {CLASSES}")
    return values - 1


def _size(root: Path, name: str) -> int:
    """The bytes of a file that can be read."""
    path = root / name
    try:
        refuse_special(path)
        with path.open("rb"):
            return path.stat().st_size
    except NotADirectoryError:
        at = next((folder for folder in root.parents if folder.is_file()), root)
        raise UserError(f"{at}: is a file; accepted: a folder that holds {', '.join(FILES)}") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder; accepted: the file of that name of STL-10") from None
    except FileNotFoundError:
        gone = f"a link to {path.readlink()}, which is absent" if path.is_symlink() else "not found"
        raise UserError(
            f"{path}: {gone}; get STL-10 with: dualperturb data fetch stl10, "
            "or link your copy with: dualperturb data link stl10 --root DIR"
        ) from None
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); accepted: a file that can be read"
        ) from error
