"""Links from a raw folder of the project to a copy of the data set that lies elsewhere.

The links are to files, in real folders: DVC follows links to files, so that a changed photograph is noticed,
but not links to folders.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dualperturb.datasets import stl10
from dualperturb.datasets.photos import class_folders, split_folder
from dualperturb.errors import UserError
from dualperturb.images import SPLITS

LINKABLE = ("imagenet10", "folder", "stl10")
_LINKED = ("train", "val", "masks")


@dataclass(frozen=True)
class Links:
    """How many links to files were made, kept as they were, and removed."""

    made: int
    kept: int
    removed: int


def link(dataset: str, root: Path, target: Path, classes: Literal["all"] | Sequence[str] = "all") -> Links:
    """Fill `target/train`, `target/val` (and `target/masks`) with links to the files in `root`.

    root: holds train/ and val/ (or test/) with one folder a class, and perhaps masks/ with the same two; of
    stl10, its five files, which are linked into `target` itself.
    classes: the class folders to link, or "all". Links of an earlier copy or of other classes are removed;
    run again, it changes nothing.
    Raises UserError for a data set that needs no link, a root of another layout, a class that it lacks, or a
    file of the user's own in `target`.
    """
    if dataset not in LINKABLE:
        drawn = "it is drawn by the program; " if dataset == "shapes6" else ""
        raise UserError(f"dataset: found {dataset!r}; {drawn}accepted: {', '.join(LINKABLE)}")
    if root.resolve() == target.resolve():
        raise UserError(f"--root {root}: is the raw folder itself; accepted: the folder of your own copy")
    wanted = dict(_stl10_files(root) if dataset == "stl10" else _wanted(root, classes))
    present = _present(target, stl10.FILES if dataset == "stl10" else _LINKED)
    for place in present.keys() - wanted.keys():
        (target / place).unlink()
    kept = {place for place, source in wanted.items() if present.get(place) == source}
    for place in wanted.keys() - kept:
        _point(target / place, wanted[place])
    _remove_empty_folders(target)
    return Links(len(wanted) - len(kept), len(kept), len(present.keys() - wanted.keys()))


def _stl10_files(root: Path) -> Iterator[tuple[Path, Path]]:
    for name in stl10.FILES:
        if not (root / name).is_file():
            raise UserError(
                f"--root {root}: holds no file {name}; accepted: a folder of {', '.join(stl10.FILES)}"
            )
        yield Path(name), (root / name).resolve()


def _wanted(root: Path, classes: Literal["all"] | Sequence[str]) -> Iterator[tuple[Path, Path]]:
    """(place under the raw folder, file that it points to), for both splits and their masks."""
    if not root.is_dir():
        raise UserError(f"--root {root}: no such folder; accepted: one that holds train/ and val/ (or test/)")
    for name, split in zip(("train", "val"), SPLITS, strict=True):
        folder = split_folder(root, split)
        if not folder.is_dir():
            also = " (or test/)" if name == "val" else ""
            raise UserError(
                f"--root {root}: holds no folder {name}/{also}; accepted: train/CLASS and val/CLASS"
            )
        found = class_folders(folder)
        if not found:
            raise UserError(f"{folder}: holds no class folder; accepted: one folder of images a class")
        chosen = found if classes == "all" else list(classes)
        absent = [one for one in chosen if one not in found]
        if absent:
            raise UserError(f"{folder}: holds no class folder {absent[0]}, which params.yaml lists")
        yield from _files(folder, Path(name), chosen)
        masks = split_folder(root / "masks", split)
        if masks.is_dir():
            yield from _files(masks, Path("masks", name), chosen)


def _files(folder: Path, place: Path, classes: Sequence[str]) -> Iterator[tuple[Path, Path]]:
    for name in classes:
        entries = sorted((folder / name).iterdir()) if (folder / name).is_dir() else []
        for entry in entries:
            if entry.is_file() and not entry.name.startswith("."):
                yield place / name / entry.name, entry.resolve()


def _present(target: Path, names: Sequence[str]) -> dict[Path, Path]:
    """The links of these names in `target`, or in its folders of these names, and what they point to.

    A real file among them is the user's, and refused.
    """
    links = {}
    for name in names:
        top = target / name
        # A link in place of a folder is a file to rglob's eyes, and is replaced like any other link.
        for path in [top] if top.is_symlink() or top.is_file() else top.rglob("*"):
            if path.is_symlink():
                links[path.relative_to(target)] = path.readlink()
            elif not path.is_dir():
                raise UserError(f"{path}: is a file of your own and no link; move it away first")
    return links


def _point(place: Path, source: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(source)


def _remove_empty_folders(target: Path) -> None:
    for name in _LINKED:
        folders = [target / name, *(path for path in (target / name).rglob("*") if path.is_dir())]
        for folder in sorted(folders, reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
