"""Data sets that are published as an archive of binary files, and what their readers check alike."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from dualperturb.errors import UserError
from dualperturb.files import refuse_special

CLASSES = 10


@dataclass(frozen=True)
class Published:
    """What is known of a data set's files.

    name, title: as params.yaml and as people call it; url, archive_md5: of the archive; folder: the one that
    it unpacks to; sums: MD5 sum of each file of images or labels; class_list: the file of ten class names,
    one a line; pickled: files or folders by which a pickled version is known, which is never read.
    """

    name: str
    title: str
    url: str
    archive_md5: str
    folder: str
    sums: Mapping[str, str]
    class_list: str
    pickled: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """All that is read."""
        return (*self.sums, self.class_list)

    @property
    def archive(self) -> str:
        """The archive's file name."""
        return self.url.rpartition("/")[2]

    def located(self, root: Path) -> Path:
        """The folder of the files: `root`, or the archive's own folder in it.

        Raises UserError where a pickled version lies there instead.
        """
        if os.path.lexists(root / self.files[0]):
            return root
        if os.path.isdir(root / self.folder):
            return root / self.folder
        for name in self.pickled:
            if os.path.lexists(root / name):
                raise UserError(
                    f"{root / name}: is of the pickled version of {self.title}, which could run any code; "
                    f"accepted: the binary version, {self.archive}: dualperturb data fetch {self.name}"
                )
        return root

    def size(self, folder: Path, name: str) -> int:
        """The bytes of a file. Raises UserError, saying how to get it, for one that cannot be read."""
        path = folder / name
        try:
            refuse_special(path)
            with path.open("rb"):
                return path.stat().st_size
        except NotADirectoryError:
            at = next((one for one in folder.parents if one.is_file()), folder)
            raise UserError(
                f"{at}: is a file; accepted: a folder that holds {', '.join(self.files)}"
            ) from None
        except IsADirectoryError:
            raise UserError(f"{path}: is a folder; accepted: the file of that name of {self.title}") from None
        except FileNotFoundError:
            gone = f"a link to {path.readlink()}, which is absent" if path.is_symlink() else "not found"
            raise UserError(
                f"{path}: {gone}; get {self.title} with: dualperturb data fetch {self.name}, "
                f"or link your copy with: dualperturb data link {self.name} --root DIR"
            ) from None
        except OSError as error:
            raise UserError(
                f"{path}: cannot be read ({error.strerror}); accepted: a file that can be read"
            ) from error

    def count(self, folder: Path, name: str, each: int) -> int:
        """How many images of `each` bytes a file holds. Raises UserError for none, and for a part of one."""
        size = self.size(folder, name)
        if size == 0 or size % each:
            raise UserError(
                f"{folder / name}: {size} bytes; accepted: a multiple of {each}, the bytes of an image"
            )
        return size // each

    def class_names(self, folder: Path) -> tuple[str, ...]:
        """The ten names, in the order of the labels. Raises UserError for another number of them."""
        path = folder / self.class_list
        names = tuple(path.read_text(encoding="utf-8", errors="replace").split())
        if len(names) != CLASSES:
            raise UserError(f"{path}: {len(names)} names; accepted: {CLASSES}, one a line")
        return names


@dataclass(frozen=True)
class Survey:
    """The contents of a checked folder: class names, and each split's labels from 0, int64 (N,)."""

    published: Published
    folder: Path
    class_names: tuple[str, ...]
    labels: Mapping[str, np.ndarray]

    @cached_property
    def md5(self) -> dict[str, str]:
        """The MD5 sum of each file that has a published one."""
        return {name: md5(self.folder / name) for name in self.published.sums}

    @property
    def warnings(self) -> list[str]:
        """A line for each file whose MD5 sum is not that of the official one."""
        return [
            f"{name}: MD5 sum {self.md5[name]} is not that of the official file, {official}"
            for name, official in self.published.sums.items()
            if self.md5[name] != official
        ]

    def total(self, split: str, wanted: int | Literal["all"]) -> int:
        """How many images are read of a split. Raises UserError if it holds fewer than are wanted."""
        there = len(self.labels[split])
        if wanted == "all":
            return there
        if wanted > there:
            raise UserError(
                f"{self.published.name}.data.{split}: {wanted} images asked for, {self.folder} holds {there}"
            )
        return wanted


def md5(path: Path) -> str:
    """Hexadecimal MD5 sum of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
