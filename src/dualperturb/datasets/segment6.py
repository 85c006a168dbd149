"""The reader of Segment-6 (Masked MS-COCO in six classes, 32x32) in its published layout.

For the layout see `segment6_layout`. A mask has its image's name, perhaps with another suffix. A set whose
images, masks and list do not match is refused; only the numbers of images may differ from those published,
and each such deviation is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from dualperturb.core.images import SPLITS, Row
from dualperturb.datasets.reading.decode import UnreadableError, open_mask, open_upright, read_photo
from dualperturb.datasets.segment6_layout import (
    CLASS_NAMES,
    PARTITIONS,
    PUBLISHED,
    SIDE,
    find_folder,
    find_table,
    read_table,
)
from dualperturb.errors import UserError
from dualperturb.files import entries
from dualperturb.text import by_name, nfc


@dataclass(frozen=True)
class Item:
    """One image, its mask and its label."""

    image: Path
    mask: Path
    label: int


@dataclass(frozen=True)
class Survey:
    """Each split's items, sorted by label and file name; a line for each deviation from the published set."""

    items: dict[str, tuple[Item, ...]]
    deviations: tuple[str, ...]


def survey(root: Path) -> Survey:
    """Match images, masks and the list of partitions without decoding an image.

    Raises UserError for a missing or unreadable folder or list, a faulty list, an image that is not
    listed, a listed image that is absent, an image without a mask, and a mask without an image.
    """
    table = find_table(root)
    folder = find_folder(root, "images")
    images, masks = _files(folder, "images"), _files(find_folder(root, "masks"), "masks")
    listed = read_table(table, folder.name)
    _check_same(table, set(listed), set(images))
    by_stem = _masks_by_image(images, masks)
    items: dict[str, list[Item]] = {name: [] for name in PARTITIONS}
    for name, (label, partition) in sorted(listed.items(), key=lambda one: (one[1][0], one[0])):
        items[partition].append(Item(images[name], by_stem[name], label))
    left_out = 0
    if items["test"]:
        left_out = len(items.pop("val"))
    else:
        items["test"] = items.pop("val")
    for split in SPLITS:
        if not items[split]:
            raise UserError(f"{table}: no image of the partition {split}; accepted: train and test")
    splits = {split: tuple(items[split]) for split in SPLITS}
    return Survey(splits, tuple(_deviations(splits, left_out)))


def chosen(found: Survey, split: str, per_class: int | Literal["all"]) -> list[Item]:
    """A split's items, or the first `per_class` of each class. Raises UserError if a class has fewer."""
    items = found.items[split]
    if per_class == "all":
        return list(items)
    taken = []
    for label, name in enumerate(CLASS_NAMES):
        of_class = [item for item in items if item.label == label]
        if len(of_class) < per_class:
            raise UserError(
                f"segment6.data.{split}_per_class: found {per_class}; "
                f"accepted: up to {len(of_class)}, the {split} images of {name}"
            )
        taken += of_class[:per_class]
    return taken


def read(items: Sequence[Item]) -> Iterator[Row]:
    """Yield rows (see `images.write_split`), one in memory at a time.

    Raises UserError for a file that does not decode, an image or mask that is not 32x32, and a mask whose
    foreground is not clear (see `mask_values`).
    """
    for item in items:
        try:
            _check_side(item.image, open_upright(item.image).size, "image")
            yield read_photo(item.image, None, SIDE, SIDE).pixels, item.label, _read_mask(item.mask)
        except UnreadableError as error:
            raise UserError(f"{error.path}: unreadable image ({error}); fetch or build it again") from error


def _files(folder: Path, kind: str) -> dict[str, Path]:
    there = entries(folder, f"accepted: the folder of {kind}")
    return by_name(path for path in there if not path.name.startswith("."))


def _masks_by_image(images: dict[str, Path], masks: dict[str, Path]) -> dict[str, Path]:
    stems: dict[str, Path] = {}
    for path in masks.values():
        stem = nfc(path.stem)
        if stem in stems:
            raise UserError(f"{path}: {stems[stem].name} is a mask of the same image; accepted: one")
        stems[stem] = path
    found = {}
    for name in sorted(images):
        mask = stems.pop(nfc(images[name].stem), None)
        if mask is None:
            raise UserError(f"{images[name]}: has no mask; accepted: one of its name in the folder of masks")
        found[name] = mask
    if stems:
        raise UserError(f"{min(stems.values())}: is the mask of no image; accepted: masks of images alone")
    return found


def _check_same(table: Path, listed: set[str], there: set[str]) -> None:
    if listed - there:
        raise UserError(f"{table}: lists {min(listed - there)}, which is not among the images")
    if there - listed:
        raise UserError(f"{table}: does not list the image {min(there - listed)}; accepted: a row for each")


def _deviations(splits: dict[str, tuple[Item, ...]], left_out: int) -> Iterator[str]:
    for split, items in splits.items():
        counts = [sum(item.label == label for item in items) for label in range(len(CLASS_NAMES))]
        others = [
            f"{count} of {name}"
            for name, count in zip(CLASS_NAMES, counts, strict=True)
            if count != PUBLISHED[split]
        ]
        if others:
            total = len(CLASS_NAMES) * PUBLISHED[split]
            yield (
                f"{split}: {len(items)} images, {total} published; "
                f"{', '.join(others)}, {PUBLISHED[split]} published"
            )
    if left_out:
        yield f"val: {left_out} images left out; the published set has no such partition"


def _check_side(path: Path, size: tuple[int, int], kind: str) -> None:
    if size != (SIDE, SIDE):
        raise UserError(
            f"{path}: the {kind} is {size[0]}x{size[1]} pixels; accepted: {SIDE}x{SIDE}, as published"
        )


def _read_mask(path: Path) -> np.ndarray:
    """Foreground, bool (1, 32, 32)."""
    grey = open_mask(path)
    _check_side(path, grey.size, "mask")
    foreground: np.ndarray = np.asarray(grey)[None] > 0
    return foreground
