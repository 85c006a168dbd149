"""The user's own masks in a folder, for any data set: `masks: {source: files}`.

    FOLDER/train/INDEX.png              matched by index: the file's name is the number of the image in the
                                        prepared split, from 0, with leading zeros or without
    FOLDER/train/CLASS/STEM.png         matched by name: the image's class folder and its name without suffix
    FOLDER/test/..., or FOLDER/val/...  likewise for the test split

Masks may have any image format; they are square, of the side of the prepared images. For the values that are
foreground see `datasets.reading.mask_values`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dualperturb.datasets.reading.decode import UnreadableError, open_mask
from dualperturb.datasets.reading.formats import may_be_image
from dualperturb.datasets.reading.mask_values import Labels
from dualperturb.datasets.reading.photo_folders import split_folder
from dualperturb.errors import UserError
from dualperturb.files import entries
from dualperturb.params.masks import MaskFilesParams
from dualperturb.text import nfc

_FOLDER = "accepted: a folder of masks; masks.files.folder names the one that holds it"


@dataclass(frozen=True)
class MaskFiles:
    """The masks of one split, decoded when a slice of them is taken: bool (n, 1, side, side).

    paths: the file of each image, or None where it has none; filled: the value of every pixel of a
    missing mask; unused: how many files in the folder belong to no image; labels: which values are
    foreground. A slice raises UserError for a file that does not decode, for values that do not tell the
    foreground, and for another size where `resize` is False.
    """

    paths: Sequence[Path | None]
    side: int
    filled: bool
    resize: bool
    unused: int
    labels: Labels

    @property
    def missing(self) -> int:
        return sum(path is None for path in self.paths)

    def __getitem__(self, part: slice) -> np.ndarray:
        return np.stack([self._mask(path) for path in self.paths[part]])[:, None]

    def _mask(self, path: Path | None) -> np.ndarray:
        if path is None:
            return np.full((self.side, self.side), self.filled)
        try:
            grey = open_mask(path, self.labels)
        except UnreadableError as error:
            raise UserError(f"{path}: unreadable mask ({error})") from error
        if self.resize and grey.width == grey.height:
            grey = grey.resize((self.side, self.side), Image.Resampling.NEAREST)
        if grey.size != (self.side, self.side):
            raise UserError(
                f"{path}: {grey.width}x{grey.height} pixels; accepted: {self.side}x{self.side}, the size of "
                "the prepared images, or any square with other_size: resize"
            )
        mask: np.ndarray = np.asarray(grey) > 0
        return mask


def find_masks(
    folder: Path, split: str, names: Sequence[str] | None, count: int, side: int, files: MaskFilesParams
) -> MaskFiles:
    """Match the files in `folder` to the images of a prepared split, without decoding any.

    count, side: the number of images and their side in pixels. names: CLASS/FILE of each image where the data
    set keeps them, needed to match by name. Raises UserError for a `folder` that is absent, unreadable or a
    file, for two masks of one image, if no file belongs to an image, and for missing masks, unless
    `files.missing` says what to fill them with.
    """
    entries(folder, _FOLDER)
    inside = split_folder(folder, split)
    by_key = _by_key(inside, files.match)
    if files.match == "name":
        keys: list[int | str] = [nfc(str(Path(name).with_suffix(""))) for name in _known(names)]
    else:
        keys = list(range(count))
    paths = [by_key.get(key) for key in keys]
    found = MaskFiles(
        paths,
        side,
        files.missing == "foreground",
        files.other_size == "resize",
        len(by_key.keys() - set(keys)),
        Labels(files.foreground, files.ignore),
    )
    if found.missing == count:
        raise UserError(f"{inside}: holds no mask of any image; accepted: files matched by {files.match}")
    if found.missing and files.missing == "refuse":
        raise UserError(
            f"{inside}: no mask for {found.missing} of {count} images, the first is {keys[paths.index(None)]}"
            "; accepted: one for each, or missing: background or foreground"
        )
    return found


def _known(names: Sequence[str] | None) -> Sequence[str]:
    if names is None:
        raise UserError("masks.files.match: found name, but this data set has no file names; accepted: index")
    return names


def _by_key(folder: Path, match: str) -> dict[int | str, Path]:
    """Index, or CLASS/STEM -> file."""
    files: dict[int | str, Path] = {}
    for path in _files(folder, deep=match == "name"):
        if not may_be_image(path):
            continue
        key = nfc(str(path.relative_to(folder).with_suffix(""))) if match == "name" else _index(path)
        if key in files:
            raise UserError(f"{path}: {files[key].name} is a mask of the same image; accepted: one mask each")
        files[key] = path
    return files


def _files(folder: Path, deep: bool) -> Iterator[Path]:
    for path in entries(folder, _FOLDER):
        if path.name.startswith("."):
            continue
        if not path.is_dir():
            yield path
        elif deep:
            yield from _files(path, deep)


def _index(path: Path) -> int:
    if not (path.stem.isascii() and path.stem.isdigit()):
        raise UserError(f"{path}: its name is no number; accepted: the image's index, as in 000123.png")
    return int(path.stem)
