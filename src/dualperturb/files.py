"""Writing files so that a reader never meets a half-written one, and looking into folders."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dualperturb.errors import REMAKE, UserError

if TYPE_CHECKING:
    import pandas as pd

_SUFFIX = ".partial"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_SPECIAL = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class _FullError(UserError):
    """The disk is full. It is a class of its own so that the message can name the outermost target."""

    def __init__(self, path: Path, number: int | None) -> None:
        super().__init__(f"{path}: {os.strerror(number or errno.ENOSPC)}; free some and run again")
        self.errno = number


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the place of `path`, else it is removed.

    What is written at the temporary path may be a file or a folder. It is on the same file system, so that at
    any moment `path` is the old one or the new one, or, if it is a folder, absent between two renames.
    Raises UserError where `path` cannot be written, for a file in a folder's place or the reverse, and for
    "." or "..", which no rename can put there.
    """
    if path.name in ("", ".."):
        raise UserError(f"{path}: cannot be replaced; accepted: a path that ends in the name to be written")
    with scratch(path) as holder:
        temporary = holder / path.name
        yield temporary
        if temporary.is_dir() and path.is_dir():
            path.rename(holder / f"{path.name}.old")
        try:
            os.replace(temporary, path)
        except (IsADirectoryError, NotADirectoryError):
            kinds = ("folder", "file") if path.is_dir() else ("file", "folder")
            raise UserError(f"{path}: is a {kinds[0]}; accepted: a {kinds[1]}, or a free name") from None


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`, which is removed at the end.

    Remains of killed runs beside the same `path` are removed first, but nothing of a run that still goes on.
    Raises UserError for a place that cannot be written to and a disk that is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        holder, lock = _claim(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield holder
    except (OSError, _FullError) as error:
        if isinstance(error, _FullError) or is_full(error):
            raise _FullError(path, error.errno) from error
        raise
    finally:
        shutil.rmtree(holder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def is_full(error: OSError) -> bool:
    """Whether something could not be written for want of space (NumPy's own error has no number)."""
    return error.errno in _FULL or (error.errno is None and str(error).endswith(" written"))


def refuse_special(path: Path) -> None:
    """Raise OSError for a named pipe, a socket or a device: to open one, or to read it, may never end."""
    kind = _SPECIAL.get(stat.S_IFMT(path.stat().st_mode))
    if kind is not None:
        raise OSError(errno.EINVAL, kind, str(path))


def entries(folder: Path, accepted: str) -> list[Path]:
    """The paths of what lies in a folder, sorted.

    Raises UserError, ending in `accepted`, if the folder is absent, is no folder or may not be read.
    """
    try:
        there = sorted(folder.iterdir())
        os.stat(os.path.join(folder, "."))  # fails where only the names may be read, which are of no use
        return there
    except OSError as error:
        raise UserError(f"{_state(folder, error)}; {accepted}") from error


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON with sorted keys (stable bytes), atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV without its index, atomically."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


def read_csv(path: Path, columns: Iterable[str] = ()) -> pd.DataFrame:
    """Read a CSV that `write_csv` wrote.

    columns: those that the table must have; it may have others, too. Raises UserError if it lacks one, and if
    the file is absent, empty, cut off or no table.
    """
    import pandas as pd

    try:
        content = path.read_bytes()
        if content and not content.endswith(b"\n"):
            raise ValueError("its last line is cut off")
        table = pd.read_csv(io.BytesIO(content))
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        reason = " ".join(str(error).split())  # that of pandas may end in a line break
        raise UserError(f"{path}: cannot be read as a table ({reason}); {REMAKE}") from error
    if lacking := [column for column in columns if column not in table.columns]:
        raise UserError(
            f"{path}: lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}; "
            "run the stage that writes it again: dvc repro --single-item --force STAGE"
        )
    return table


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _claim(path: Path) -> tuple[Path, int | None]:
    """A folder beside `path`, and the descriptor of its lock, which the system frees however the run ends."""
    # The parent is locked so that no other run takes a new folder for left over before it has its own lock.
    parent = _lock(path.parent, wait=True)
    try:
        for left in path.parent.glob(f".{escape(path.name)}.*{_SUFFIX}"):
            lock = _lock(left, wait=False)
            if lock is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(lock)
        made = tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_SUFFIX, dir=path.parent)
        # From Python 3.12 on `made` is absolute and so leads through folders that may not be accessible.
        holder = path.parent / Path(made).name
        return holder, _lock(holder, wait=False)
    finally:
        if parent is not None:
            os.close(parent)


def _lock(folder: Path, wait: bool) -> int | None:
    """A descriptor that holds the folder's lock; None if another run holds it, or there are no locks."""
    try:
        import fcntl  # not on Windows

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _unwritable(path: Path, error: OSError) -> UserError:
    if is_full(error):
        return _FullError(path, error.errno)
    state = _state(path.parent, error, verb="written")
    return UserError(f"{state}; accepted: a folder in which {path.name} can be written")


def _state(folder: Path, error: OSError, verb: str = "read") -> str:
    """Which folder is wrong, and how."""
    if error.errno == errno.ENOENT:
        return f"{folder}: not found"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):  # perhaps a folder above it is a file
        return f"{next((one for one in folder.parents if one.is_file()), folder)}: is a file"
    return f"{folder}: cannot be {verb} ({error.strerror})"
