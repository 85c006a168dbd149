"""The user's files, placed in a raw folder of the project as links or as copies.

Only files are linked, in real folders, because DVC follows links to files, and so notices a changed
photograph, but not links to folders. A file beside the copies lists them with the size and time of what was
copied; this list tells them from files of the user's own, which are never touched.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dualperturb.errors import UserError
from dualperturb.files import write_json

COPIES = ".copies.json"
_PARTIAL = ".copy.partial"
_COARSEST_NS = 2_000_000_000  # FAT keeps a file's time to two seconds
# Called after each file that is placed: files done, files in all.
FileProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Links:
    """How many files were linked or copied, kept as they were, and removed; and what was passed over."""

    made: int
    kept: int
    removed: int
    passed_over: tuple[Path, ...] = ()


@dataclass(frozen=True)
class _Stamp:
    """Size and time of the file that a copy was made from."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> _Stamp:
        found = path.stat()
        return cls(found.st_size, found.st_mtime_ns)

    def fits(self, copy: _Stamp) -> bool:
        """Whether `copy` is unchanged; its file system may keep times less exactly."""
        return self.size == copy.size and abs(self.mtime_ns - copy.mtime_ns) <= _COARSEST_NS


def place(
    wanted: Mapping[Path, Path],
    target: Path,
    names: Sequence[str],
    copy: bool = False,
    progress: FileProgress | None = None,
) -> Links:
    """Let the entries `names` of `target`, which are files or folders, hold the wanted files and no others.

    wanted: place under `target` -> absolute path of the file to link or to copy there. A file that was placed
    earlier and is not wanted any more is removed; a second run changes nothing. A run that is interrupted
    leaves only whole files, and the next one goes on from there.
    Raises UserError, having changed nothing, for a `target` that is no folder and for a file of the user's
    own in one of the places.
    """
    _check_target(target)
    copies = _listed_copies(target)
    present = _present(target, names, copies)
    goal: dict[Path, Path | _Stamp] = {
        where: _Stamp.of(source) if copy else source for where, source in wanted.items()
    }
    kept = {where for where, what in goal.items() if present.get(where) == what}
    for where in present.keys() - kept:
        (target / where).unlink()
    (target / _PARTIAL).unlink(missing_ok=True)
    # Listed before they are made, so that a copy of an interrupted run is not taken for the user's own file.
    _list_copies(target, copies, {where: what for where, what in goal.items() if isinstance(what, _Stamp)})
    missing = [where for where in wanted if where not in kept]
    for done, where in enumerate(missing, start=1):
        (target / where).parent.mkdir(parents=True, exist_ok=True)
        if copy:
            _copy(wanted[where], target / where, target / _PARTIAL)
        else:
            (target / where).symlink_to(wanted[where])
        if progress is not None:
            progress(done, len(missing))
    _remove_empty_folders(target, names)
    return Links(len(missing), len(kept), len(present.keys() - wanted.keys()))


def _check_target(target: Path) -> None:
    there = next(path for path in (target, *target.absolute().parents) if os.path.lexists(path))
    if not there.is_dir():
        raise UserError(f"--raw {target}: {there} is no folder; accepted: a folder, or a free name")


def _present(target: Path, names: Sequence[str], copies: Mapping[Path, _Stamp]) -> dict[Path, Path | _Stamp]:
    """The links and copies placed earlier, and what each of them points to or was made from."""
    found: dict[Path, Path | _Stamp] = {}
    for name in names:
        top = target / name
        # A link in place of a folder counts as a file, for rglob too, and is replaced like any other link.
        for path in [top] if top.is_symlink() or top.is_file() else top.rglob("*"):
            where = path.relative_to(target)
            if path.is_symlink():
                found[where] = path.readlink()
            elif where in copies and copies[where].fits(_Stamp.of(path)):
                found[where] = copies[where]
            elif not path.is_dir():
                raise UserError(
                    f"{path}: is a file of your own and no link, nor an unchanged copy; move it away first"
                )
    return found


def _listed_copies(target: Path) -> dict[Path, _Stamp]:
    path = target / COPIES
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
        return {Path(where): _Stamp(int(size), int(time)) for where, (size, time) in listed.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: is not the list of copies that is kept here ({error}); remove it and the copies"
        ) from error


def _list_copies(target: Path, old: Mapping[Path, _Stamp], new: Mapping[Path, _Stamp]) -> None:
    if old == new:
        return
    if new:
        write_json(
            target / COPIES, {where.as_posix(): [one.size, one.mtime_ns] for where, one in new.items()}
        )
    else:
        (target / COPIES).unlink()


def _copy(source: Path, place: Path, partial: Path) -> None:
    """Copy content and time, so that a file at `place` is whole at any moment."""
    try:
        shutil.copy2(source, partial)
        os.replace(partial, place)
    finally:
        partial.unlink(missing_ok=True)


def _remove_empty_folders(target: Path, names: Sequence[str]) -> None:
    for name in names:
        folders = [target / name, *(path for path in (target / name).rglob("*") if path.is_dir())]
        for folder in sorted(folders, reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
