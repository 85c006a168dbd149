"""Photographs in one folder a class -> rows of an image set.

    ROOT/train/CLASS/*          images of any format
    ROOT/val/CLASS/*            the test split; the folder may be called test/ (val/ wins where both exist)
    ROOT/masks/train/CLASS/*    optional: one mask an image under its stem, in any format; likewise masks/val

A file is an image by its content, whatever its name. One whose content is no image's counts as an unreadable
image if it is named like one, and is passed over if not (notes.txt, Thumbs.db). Hidden files are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dualperturb.core.images import SPLITS, Row
from dualperturb.datasets.decode import UnreadableError, is_image
from dualperturb.errors import UserError
from dualperturb.params.data import PhotoData

if TYPE_CHECKING:
    from dualperturb.datasets.pool import Decode

IMAGE_SUFFIXES = frozenset(
    (
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".bmp",
        ".gif",
        ".tif",
        ".tiff",
        ".webp",
        ".ppm",
        ".pgm",
        ".pbm",
    )
    + (".pnm", ".avif", ".jp2")
)
_FOLDERS = {"train": ("train",), "test": ("val", "test")}


@dataclass(frozen=True)
class Photo:
    """One image file, its mask if the data set brings masks, and its label."""

    path: Path
    mask: Path | None
    label: int


@dataclass(frozen=True)
class Survey:
    """What a raw folder holds: folder and shown names by label, and each split's photographs by label."""

    folders: tuple[str, ...]
    class_names: tuple[str, ...]
    photos: dict[str, tuple[tuple[Photo, ...], ...]]


def split_folder(root: Path, split: str) -> Path:
    """The folder of a split under `root`: train/, and val/ or test/."""
    names = _FOLDERS[split]
    return next((root / name for name in names if (root / name).is_dir()), root / names[0])


def class_folders(folder: Path) -> list[str]:
    """Names of the folders in `folder`, sorted, without hidden ones."""
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not _hidden(entry))


def survey(root: Path, spec: PhotoData) -> Survey:
    """List the photographs and masks of both splits without decoding any.

    Raises UserError for an absent class folder, fewer than two, a name that is no text, too few images in a
    class, or a missing mask.
    """
    names = _class_names(root, spec)
    with_masks = (root / "masks").is_dir()
    photos = {}
    for split in SPLITS:
        folder = split_folder(root, split)
        masks = split_folder(root / "masks", split) if with_masks else None
        photos[split] = tuple(
            _class_photos(folder / name, masks / name if masks else None, label, _wanted(spec, split), split)
            for label, name in enumerate(names)
        )
    return Survey(tuple(names), tuple(names.values()), photos)


def read(
    found: Survey, split: str, spec: PhotoData, skipped: list[str], names: list[str], decode: Decode
) -> Iterator[Row]:
    """Yield a split's rows (see `images.write_split`) by class and file name, few in memory at a time.

    decode: see `pool.decoding`; the rows and all else are the same whatever the number of processes.

    An unreadable image is refused (UserError) or left out, as `spec.unreadable` says; where a number was
    asked for, the next file takes its place. What was left out is appended to `skipped`, one line a file:
    split, class folder, file name and reason. CLASS/FILE of each row is appended to `names`.
    Raises UserError, too, when a class ends with fewer images than asked for, or none.
    """
    wanted = _wanted(spec, split)
    for photos in found.photos[split]:
        rest = iter(photos)
        count, missing = 0, len(photos) if wanted == "all" else wanted
        # As many files as rows are missing: no file is decoded that a smaller number of processes would not.
        while missing and (batch := list(islice(rest, missing))):
            for row in _readable(batch, spec, split, skipped, names, decode):
                count += 1
                yield row
            missing = 0 if wanted == "all" else wanted - count
        _check_count(photos[0].path.parent, count, wanted, split)


def total(found: Survey, split: str, spec: PhotoData) -> int:
    """How many rows `read` yields if no image is left out."""
    wanted = _wanted(spec, split)
    return sum(len(photos) if wanted == "all" else wanted for photos in found.photos[split])


def _readable(
    photos: list[Photo],
    spec: PhotoData,
    split: str,
    skipped: list[str],
    names: list[str],
    decode: Decode,
) -> Iterator[Row]:
    tasks = [(photo.path, photo.mask, spec.resize, spec.side) for photo in photos]
    for photo, outcome in zip(photos, decode(tasks), strict=True):
        if not isinstance(outcome, UnreadableError):
            names.append(f"{photo.path.parent.name}/{photo.path.name}")
            pixels, mask = outcome
            yield pixels, photo.label, mask
            continue
        if spec.unreadable == "refuse":
            raise UserError(
                f"{outcome.path}: unreadable image ({outcome}); remove it, or set unreadable: skip"
            ) from outcome
        kind = "mask " if outcome.path == photo.mask else ""
        skipped.append(f"{kind}{split}/{photo.path.parent.name}/{outcome.path.name}: {outcome}")


def _class_names(root: Path, spec: PhotoData) -> dict[str, str]:
    """Class folder -> shown name, in the order of the labels; every folder is there in both splits."""
    found = {split_folder(root, split): class_folders(split_folder(root, split)) for split in SPLITS}
    if spec.classes != "all":
        names = spec.classes
    else:
        names = {name: name for name in sorted(set().union(*found.values()))}
    if not names:
        raise UserError(f"{root}: no class folder in {' or '.join(folder.name for folder in found)}")
    if len(names) < 2:
        raise UserError(f"{root}: one class, {_listed(list(names))}; accepted: at least two")
    for name in names:
        if not _is_text(name):
            raise UserError(f"{root}: the name of the class folder {name!r} is not UTF-8; rename it")
    for folder, there in found.items():
        for name in names:
            if name not in there:
                raise UserError(f"{folder / name}: class folder not found; {folder} holds {_listed(there)}")
    return names


def _class_photos(
    folder: Path, masks: Path | None, label: int, wanted: int | Literal["all"], split: str
) -> tuple[Photo, ...]:
    files = sorted((entry for entry in folder.iterdir() if _may_be_image(entry)), key=lambda path: path.name)
    _check_count(folder, len(files), wanted, split)
    if masks is None:
        return tuple(Photo(path, None, label) for path in files)
    by_stem = _masks_by_stem(masks)
    photos = []
    for path in files:
        if path.stem not in by_stem:
            expected = masks / f"{path.stem}.png"
            raise UserError(
                f"{expected}: no mask for {path}; accepted: one for every image, or no folder masks/"
            )
        photos.append(Photo(path, by_stem[path.stem], label))
    return tuple(photos)


def _masks_by_stem(folder: Path) -> dict[str, Path]:
    masks: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not _may_be_image(path):
            continue
        if path.stem in masks:
            raise UserError(
                f"{path}: {masks[path.stem].name} is a mask of the same image; accepted: one mask each"
            )
        masks[path.stem] = path
    return masks


def _may_be_image(path: Path) -> bool:
    if _hidden(path) or path.is_dir():
        return False
    return path.suffix.lower() in IMAGE_SUFFIXES or is_image(path)


def _check_count(folder: Path, count: int, wanted: int | Literal["all"], split: str) -> None:
    if wanted == "all":
        if count == 0:
            raise UserError(f"{folder}: no readable image in this class")
    elif count < wanted:
        raise UserError(f"{split}_per_class: {wanted} images asked for, {folder} holds {count} readable ones")


def _wanted(spec: PhotoData, split: str) -> int | Literal["all"]:
    return spec.train_per_class if split == "train" else spec.test_per_class


def _is_text(name: str) -> bool:
    """Whether a file's name is UTF-8: Python keeps bytes that the locale's encoding lacks as surrogates."""
    try:
        return bool(name.encode(errors="surrogateescape").decode())
    except UnicodeError:
        return False


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _listed(names: list[str], most: int = 12) -> str:
    if not names:
        return "no folder"
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
