"""The reader of STL-10's official binary files. The set's unlabelled images are never read.

    ROOT/train_X.bin, ROOT/test_X.bin   images one after another, 3x96x96 bytes each, columns first
    ROOT/train_y.bin, ROOT/test_y.bin   their labels, one byte each, 1 to 10
    ROOT/class_names.txt                ten names, one a line

or the same files in ROOT/stl10_binary, as the archive unpacks.
Coates, Ng and Lee, "An analysis of single-layer networks in unsupervised feature learning", 2011.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from dualperturb.core.images import SPLITS, Row
from dualperturb.datasets.published import CLASSES, Published, Survey
from dualperturb.errors import UserError

SIDE = 96
IMAGE_BYTES = 3 * SIDE * SIDE
PUBLISHED = Published(
    name="stl10",
    title="STL-10",
    url="http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    archive_md5="91f7769df0f17e558f3565bffb0c7dfb",
    folder="stl10_binary",
    sums={
        "train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
        "train_y.bin": "5a34089d4802c674881badbb80307741",
        "test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
        "test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
    },
    class_list="class_names.txt",
)


def survey(root: Path) -> Survey:
    """Check the five files of a raw folder, all but the pixels.

    Raises UserError for a file that is absent or no file, a size that is no multiple of an image, labels out
    of range, or unequal numbers of images and labels.
    """
    folder = PUBLISHED.located(root)
    for name in PUBLISHED.files:
        PUBLISHED.size(folder, name)
    names = PUBLISHED.class_names(folder)
    return Survey(PUBLISHED, folder, names, {split: _labels(folder, split) for split in SPLITS})


def read(found: Survey, split: str, wanted: int | Literal["all"]) -> Iterator[Row]:
    """Yield the first `wanted` rows of a split (see `images.write_split`), one in memory at a time.

    Raises UserError if the split holds fewer.
    """
    labels = found.labels[split][: found.total(split, wanted)]
    for label, image in zip(labels, _images(found.folder, split), strict=False):
        yield image, int(label), None


def _images(folder: Path, split: str) -> Iterator[np.ndarray]:
    with (folder / f"{split}_X.bin").open("rb") as file:
        while content := file.read(IMAGE_BYTES):
            yield np.frombuffer(content, np.uint8).reshape(3, SIDE, SIDE).transpose(0, 2, 1)


def _labels(folder: Path, split: str) -> np.ndarray:
    images, labels = f"{split}_X.bin", folder / f"{split}_y.bin"
    count = PUBLISHED.count(folder, images, IMAGE_BYTES)
    values = np.fromfile(labels, np.uint8).astype(np.int64)
    if len(values) != count:
        raise UserError(
            f"{labels}: {len(values)} labels, {images} holds {count} images; accepted: one label an image"
        )
    wrong = np.flatnonzero((values < 1) | (values > CLASSES))
    if len(wrong):
        raise UserError(f"{labels}: label {wrong[0]} is {values[wrong[0]]}; accepted: 1 to {CLASSES}")
    return values - 1
