"""A copy of a data set that lies elsewhere, linked or copied into a raw folder of the project."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from dualperturb.core.images import SPLITS
from dualperturb.datasets.published import Published
from dualperturb.datasets.raw import imagenet_val
from dualperturb.datasets.raw.fetch import PUBLISHED
from dualperturb.datasets.raw.placing import FileProgress, Links, place
from dualperturb.datasets.reading.formats import may_be_image
from dualperturb.datasets.reading.photo_folders import class_folders, split_folder
from dualperturb.errors import UserError
from dualperturb.text import nfc

LINKABLE = ("imagenet10", "folder", *PUBLISHED)
_PLACES = ("train", "val", "masks")
Classes = Literal["all"] | Sequence[str]
Pairs = Iterator[tuple[Path, Path]]  # place under the raw folder, file that belongs there


def link(
    dataset: str,
    root: Path,
    target: Path,
    classes: Classes = "all",
    *,
    copy: bool = False,
    val_labels: Path | None = None,
    progress: FileProgress | None = None,
) -> Links:
    """Fill `target/train`, `target/val` (and `target/masks`) with links to the files in `root`, or copies.

    root: holds train/ and val/ (or test/) with one folder per class, and perhaps masks/ with the same two.
    For cifar10 and stl10 it holds their binary files, perhaps in the archive's own folder, which are linked
    into `target` itself. For imagenet10 val/ may be flat, as it is published (see `imagenet_val`);
    val_labels: where its labels lie, if not near it.
    classes: the class folders to link, or "all"; names are compared in one Unicode form. Hidden files,
    folders below a class and files beside the classes are passed over, and returned. Links of an earlier copy
    or of other classes are removed; a second run changes nothing (see `placing.place`).
    Raises UserError for a data set that needs no link, a root of another layout, a class that it lacks,
    labels that do not fit, or a file of the user's own in `target`.
    """
    if dataset not in LINKABLE:
        drawn = "it is drawn by the program; " if dataset == "shapes6" else ""
        raise UserError(f"dataset: found {dataset!r}; {drawn}accepted: {', '.join(LINKABLE)}")
    if root.resolve() == target.resolve():
        raise UserError(f"--root {root}: is the raw folder itself; accepted: the folder of your own copy")
    if val_labels is not None and dataset != "imagenet10":
        raise UserError(f"--val-labels: {dataset} needs none; accepted: with imagenet10 alone")
    if published := PUBLISHED.get(dataset):
        return place(dict(_files_of(published, root)), target, published.files, copy, progress)
    left: list[Path] = []
    if dataset == "imagenet10":
        wanted = dict(_imagenet(root, classes, val_labels, left))
    else:
        wanted = dict(_folders(root, classes, left))
    return replace(place(wanted, target, _PLACES, copy, progress), passed_over=tuple(left))


def _files_of(published: Published, root: Path) -> Pairs:
    folder = published.located(root)
    for name in published.files:
        if not (folder / name).is_file():
            raise UserError(
                f"--root {folder}: holds no file {name}; accepted: a folder of {', '.join(published.files)}"
            )
        yield Path(name), (folder / name).resolve()


def _imagenet(root: Path, classes: Classes, val_labels: Path | None, left: list[Path]) -> Pairs:
    top = imagenet_val.image_folder(root)
    val = split_folder(top, "test")
    if not val.is_dir() or class_folders(val):
        if val_labels is not None:
            raise UserError(
                f"--val-labels: {val} is no flat folder; accepted: where its images lie side by side"
            )
        yield from _folders(top, classes, left)
        return
    chosen = _chosen(_split(top, "train"), classes)
    yield from _files(top / "train", Path("train"), chosen, left)
    left += sorted(path for path in val.iterdir() if not may_be_image(path))
    for wnid, images in imagenet_val.by_synset(val, chosen, val_labels).items():
        for image in images:
            yield Path("val", wnid, image.name), image.resolve()


def _folders(root: Path, classes: Classes, left: list[Path]) -> Pairs:
    """The files of both splits and of their masks; files that are not taken are appended to `left`."""
    for name, split in zip(("train", "val"), SPLITS, strict=True):
        folder = _split(root, split)
        chosen = _chosen(folder, classes)
        yield from _files(folder, Path(name), chosen, left)
        masks = split_folder(root / "masks", split)
        if masks.is_dir():
            yield from _files(masks, Path("masks", name), chosen, left)


def _split(root: Path, split: str) -> Path:
    if not root.is_dir():
        raise UserError(f"--root {root}: no such folder; accepted: one that holds train/ and val/ (or test/)")
    folder = split_folder(root, split)
    if not folder.is_dir():
        absent = "train/" if split == "train" else "val/ (or test/)"
        raise UserError(f"--root {root}: holds no folder {absent}; accepted: train/CLASS and val/CLASS")
    return folder


def _chosen(folder: Path, classes: Classes) -> list[str]:
    found = class_folders(folder)
    if not found:
        raise UserError(f"{folder}: holds no class folder; accepted: one folder of images a class")
    chosen = list(found) if classes == "all" else [nfc(name) for name in classes]
    absent = [one for one in chosen if one not in found]
    if absent:
        raise UserError(f"{folder}: holds no class folder {absent[0]}, which params.yaml lists")
    return chosen


def _files(folder: Path, place: Path, classes: Sequence[str], left: list[Path]) -> Pairs:
    there = class_folders(folder)
    left += sorted(entry for entry in folder.iterdir() if not entry.is_dir())
    for name in classes:
        for entry in sorted(there[name].iterdir()) if name in there else ():
            if entry.is_dir() or entry.name.startswith("."):
                left.append(entry)
            else:
                yield place / name / entry.name, entry.resolve()
