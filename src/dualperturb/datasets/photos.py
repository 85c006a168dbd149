"""The reader of the photographs that `photo_folders` found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from dualperturb.core.images import Row
from dualperturb.datasets.reading.decode import UnreadableError
from dualperturb.datasets.reading.photo_folders import Photo, Survey, check_count, wanted_of
from dualperturb.errors import UserError
from dualperturb.params.data import PhotoData
from dualperturb.text import nfc

if TYPE_CHECKING:
    from dualperturb.datasets.pool import Decode


@dataclass(frozen=True)
class Notes:
    """Notes on the files of a split, taken while they are read.

    names: CLASS/FILE of each row; skipped: a line for each file that was left out; transparent: the rows with
    transparent parts, which are shown on white.
    """

    names: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    transparent: list[str] = field(default_factory=list)


def read(found: Survey, split: str, spec: PhotoData, notes: Notes, decode: Decode) -> Iterator[Row]:
    """Yield a split's rows (see `images.write_split`) by class and file name, few in memory at a time.

    decode: see `pool.decoding`; the rows and all else are the same for any number of processes.

    An unreadable image is refused (UserError) or left out, as `spec.unreadable` says; where a number of
    images was asked for, the next file takes its place. Each file that was left out is noted in one line:
    split, class folder, file name and reason.
    Also raises UserError if a class ends up with fewer images than asked for, or with none.
    """
    wanted = wanted_of(spec, split)
    for photos in found.photos[split]:
        rest = iter(photos)
        count, missing = 0, len(photos) if wanted == "all" else wanted
        # Only as many files as rows are missing, so that more processes do not decode more files.
        while missing and (batch := list(islice(rest, missing))):
            for row in _readable(batch, spec, split, notes, decode):
                count += 1
                yield row
            missing = 0 if wanted == "all" else wanted - count
        check_count(photos[0].path.parent, count, wanted, split)


def total(found: Survey, split: str, spec: PhotoData) -> int:
    """How many rows `read` yields if no image is left out."""
    wanted = wanted_of(spec, split)
    return sum(len(photos) if wanted == "all" else wanted for photos in found.photos[split])


def _readable(
    photos: list[Photo], spec: PhotoData, split: str, notes: Notes, decode: Decode
) -> Iterator[Row]:
    tasks = [(photo.path, photo.mask, spec.resize, spec.side) for photo in photos]
    for photo, outcome in zip(photos, decode(tasks), strict=True):
        if not isinstance(outcome, UnreadableError):
            notes.names.append(nfc(f"{photo.path.parent.name}/{photo.path.name}"))
            if outcome.transparent:
                notes.transparent.append(f"{split}/{notes.names[-1]}")
            yield outcome.pixels, photo.label, outcome.foreground
            continue
        if spec.unreadable == "refuse":
            raise UserError(
                f"{outcome.path}: unreadable image ({outcome}); remove it, or set unreadable: skip"
            ) from outcome
        kind = "mask " if outcome.path == photo.mask else ""
        notes.skipped.append(f"{kind}{split}/{photo.path.parent.name}/{outcome.path.name}: {outcome}")
