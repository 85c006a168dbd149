"""Links from a raw folder of the project to a copy of the data set that lies elsewhere."""

from __future__ import annotations

from pathlib import Path

from dualperturb.datasets.photos import class_folders, split_folder
from dualperturb.errors import UserError
from dualperturb.files import replacing
from dualperturb.images import SPLITS

LINKABLE = ("imagenet10", "folder")


def link(dataset: str, root: Path, target: Path) -> dict[str, str]:
    """Make `target/train` and `target/val` (and `target/masks`) links to the folders in `root`.

    root: holds train/ and val/ (or test/) with one folder a class, and perhaps masks/. Returns what was done
    to each link: "made", "replaced", "kept" or "removed" (masks of an earlier copy). Run again, it changes
    nothing. Raises UserError for a data set that needs no link, a root of another layout, or a real folder in
    a link's place.
    """
    if dataset not in LINKABLE:
        drawn = "it is drawn by the program; " if dataset == "shapes6" else ""
        raise UserError(f"dataset: found {dataset!r}; {drawn}accepted: {', '.join(LINKABLE)}")
    sources = _sources(root)
    names = [*sources, "masks"]
    for name in names:
        place = target / name
        if place.exists() and not place.is_symlink():
            raise UserError(
                f"{place}: exists and is no link; move it away first, accepted: nothing or a link"
            )
    done = {name: _point(target / name, source) for name, source in sources.items()}
    if "masks" not in sources and (target / "masks").is_symlink():
        (target / "masks").unlink()
        done["masks"] = "removed"
    return done


def _sources(root: Path) -> dict[str, Path]:
    """Link name -> the folder in `root`, resolved: a root made of links gives no circle of them."""
    if not root.is_dir():
        raise UserError(f"--root {root}: no such folder; accepted: one that holds train/ and val/ (or test/)")
    folders = {"train": split_folder(root, SPLITS[0]), "val": split_folder(root, SPLITS[1])}
    for name, folder in folders.items():
        if not folder.is_dir():
            also = " (or test/)" if name == "val" else ""
            raise UserError(
                f"--root {root}: holds no folder {name}/{also}; accepted: train/CLASS and val/CLASS"
            )
        if not class_folders(folder):
            raise UserError(f"{folder}: holds no class folder; accepted: one folder of images a class")
    if (root / "masks").is_dir():
        folders["masks"] = root / "masks"
    return {name: folder.resolve() for name, folder in folders.items()}


def _point(place: Path, source: Path) -> str:
    if place.is_symlink() and place.readlink() == source:
        return "kept"
    state = "replaced" if place.is_symlink() else "made"
    with replacing(place) as temporary:
        temporary.symlink_to(source, target_is_directory=True)
    return state
