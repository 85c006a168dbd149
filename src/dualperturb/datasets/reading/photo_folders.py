"""The survey of a raw folder of photographs, one folder per class; nothing is decoded.

    ROOT/train/CLASS/*          images of any format
    ROOT/val/CLASS/*            the test split; the folder may be called test/ (val/ wins where both exist)
    ROOT/masks/train/CLASS/*    optional: one mask per image, with its stem, in any format; likewise masks/val

A file is an image by its content, whatever its name. A file that only looks like one by its name or its first
bytes (a HEIC, a camera's raw file) counts as an unreadable image. Other files (notes.txt, Thumbs.db), masks
of no image, hidden files and folders below a class are passed over and reported. Names are compared in one
Unicode form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dualperturb.core.images import SPLITS
from dualperturb.datasets.reading.formats import may_be_image
from dualperturb.errors import UserError
from dualperturb.params.data import PhotoData
from dualperturb.text import by_name, nfc

_FOLDERS = {"train": ("train",), "test": ("val", "test")}


@dataclass(frozen=True)
class Photo:
    """One image file, its mask if the data set brings masks, and its label."""

    path: Path
    mask: Path | None
    label: int


@dataclass(frozen=True)
class Survey:
    """The contents of a raw folder: folder and shown names by label, and each split's photographs by label.

    passed_over: files and folders that are neither photographs nor their masks, relative to the raw folder.
    """

    folders: tuple[str, ...]
    class_names: tuple[str, ...]
    photos: dict[str, tuple[tuple[Photo, ...], ...]]
    passed_over: tuple[str, ...] = ()


def split_folder(root: Path, split: str) -> Path:
    """The folder of a split under `root`: train/, and val/ or test/."""
    names = _FOLDERS[split]
    return next((root / name for name in names if (root / name).is_dir()), root / names[0])


def class_folders(folder: Path) -> dict[str, Path]:
    """The folders in `folder` by their names in NFC, sorted, without hidden ones."""
    return by_name(entry for entry in folder.iterdir() if entry.is_dir() and not _hidden(entry))


def survey(root: Path, spec: PhotoData) -> Survey:
    """List the photographs and masks of both splits without decoding any.

    Raises UserError for an absent class folder, fewer than two classes, a folder's name that is no text, too
    few images in a class, or a missing mask.
    """
    names = _class_names(root, spec)
    photos, others = {}, []
    for split in SPLITS:
        folders, masks = class_folders(split_folder(root, split)), _mask_folders(root / "masks", split)
        others += [path for path in split_folder(root, split).iterdir() if not path.is_dir() or _hidden(path)]
        photos[split] = tuple(
            _class_photos(folders[name], masks and masks(name), label, wanted_of(spec, split), split, others)
            for label, name in enumerate(names)
        )
    passed_over = tuple(sorted(str(path.relative_to(root)) for path in others))
    return Survey(tuple(names), tuple(names.values()), photos, passed_over)


def check_count(folder: Path, count: int, wanted: int | Literal["all"], split: str) -> None:
    if wanted == "all":
        if count == 0:
            raise UserError(f"{folder}: no readable image in this class")
    elif count < wanted:
        raise UserError(f"{split}_per_class: {wanted} images asked for, {folder} holds {count} readable ones")


def wanted_of(spec: PhotoData, split: str) -> int | Literal["all"]:
    return spec.train_per_class if split == "train" else spec.test_per_class


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
                raise UserError(
                    f"{folder / name}: class folder not found; {folder} holds {_listed(list(there))}"
                )
    return names


def _mask_folders(masks: Path, split: str) -> Callable[[str], Path] | None:
    """A function from a class's name to the folder of its masks; None where the data set brings no masks."""
    if not masks.is_dir():
        return None
    folder = split_folder(masks, split)
    there = class_folders(folder) if folder.is_dir() else {}
    return lambda name: there.get(name, folder / name)


def _class_photos(
    folder: Path,
    masks: Path | None,
    label: int,
    wanted: int | Literal["all"],
    split: str,
    others: list[Path],
) -> tuple[Photo, ...]:
    """A class's photographs; paths that are neither photographs nor their masks are appended to `others`."""
    files = _images(folder, others)
    check_count(folder, len(files), wanted, split)
    if masks is None:
        return tuple(Photo(path, None, label) for path in files)
    by_stem = _masks_by_stem(masks, others)
    stems = {nfc(path.stem) for path in files}
    others += [mask for stem, mask in by_stem.items() if stem not in stems]
    photos = []
    for path in files:
        if nfc(path.stem) not in by_stem:
            expected = masks / f"{path.stem}.png"
            raise UserError(
                f"{expected}: no mask for {path}; accepted: one for every image, or no folder masks/"
            )
        photos.append(Photo(path, by_stem[nfc(path.stem)], label))
    return tuple(photos)


def _images(folder: Path, others: list[Path]) -> list[Path]:
    """A folder's images, sorted by name in one Unicode form; everything else is appended to `others`."""
    found: list[Path] = []
    for path in folder.iterdir():
        (found if may_be_image(path) else others).append(path)
    return list(by_name(found).values())


def _masks_by_stem(folder: Path, others: list[Path]) -> dict[str, Path]:
    masks: dict[str, Path] = {}
    for path in _images(folder, others) if folder.is_dir() else ():
        stem = nfc(path.stem)
        if stem in masks:
            raise UserError(
                f"{path}: {masks[stem].name} is a mask of the same image; accepted: one mask each"
            )
        masks[stem] = path
    return masks


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
