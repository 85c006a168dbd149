"""The reader of CIFAR-10's official binary version. The pickled version is never read.

    ROOT/data_batch_1.bin to ROOT/data_batch_5.bin, ROOT/test_batch.bin
                            records of 3,073 bytes: a label from 0 to 9, then the red, the green and the blue
                            values of 32x32 pixels, rows first
    ROOT/batches.meta.txt   ten names, one a line

or the same files in ROOT/cifar-10-batches-bin, as the archive unpacks.
Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from dualperturb.core.images import Row
from dualperturb.datasets.published import CLASSES, Published, Survey
from dualperturb.errors import UserError

SIDE = 32
RECORD_BYTES = 1 + 3 * SIDE * SIDE
# The archive's sum is on its page; those of its files are in several public programs that check them.
PUBLISHED = Published(
    name="cifar10",
    title="CIFAR-10",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    archive_md5="c32a1d4ab5d03f1284b67883e8d87530",
    folder="cifar-10-batches-bin",
    sums={
        "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
        "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
        "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
        "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
        "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
        "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
    },
    class_list="batches.meta.txt",
    pickled=("cifar-10-batches-py", "data_batch_1", "test_batch"),
)
_FILES = {"train": tuple(PUBLISHED.sums)[:5], "test": ("test_batch.bin",)}


def survey(root: Path) -> Survey:
    """Check the seven files of a raw folder, all but the pixels.

    Raises UserError for a file that is absent or no file, the pickled version, a size that is no multiple of
    a record, or a label out of range.
    """
    folder = PUBLISHED.located(root)
    for name in PUBLISHED.files:
        PUBLISHED.size(folder, name)
    labels = {
        split: np.concatenate([_labels(folder, name) for name in names]) for split, names in _FILES.items()
    }
    return Survey(PUBLISHED, folder, PUBLISHED.class_names(folder), labels)


def read(found: Survey, split: str, wanted: int | Literal["all"]) -> Iterator[Row]:
    """Yield the first `wanted` rows of a split (see `images.write_split`), one in memory at a time.

    Raises UserError if the split holds fewer.
    """
    yield from islice(_rows(found.folder, split), found.total(split, wanted))


def _rows(folder: Path, split: str) -> Iterator[Row]:
    for name in _FILES[split]:
        with (folder / name).open("rb") as file:
            while record := file.read(RECORD_BYTES):
                yield np.frombuffer(record, np.uint8, offset=1).reshape(3, SIDE, SIDE), record[0], None


def _labels(folder: Path, name: str) -> np.ndarray:
    """The labels of a file, int64 (N,)."""
    count = PUBLISHED.count(folder, name, RECORD_BYTES)
    records = np.memmap(folder / name, np.uint8, "r", shape=(count, RECORD_BYTES))
    values = records[:, 0].astype(np.int64)
    wrong = np.flatnonzero(values >= CLASSES)
    if len(wrong):
        raise UserError(
            f"{folder / name}: the label of record {wrong[0]} is {values[wrong[0]]}; "
            f"accepted: 0 to {CLASSES - 1}"
        )
    return values
