"""Downloads of the raw data that takes no form to fill in: CIFAR-10, and STL-10's labelled part."""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

from dualperturb.datasets import cifar10, stl10
from dualperturb.datasets.published import Published, md5
from dualperturb.datasets.raw.download import Progress, download
from dualperturb.errors import UserError
from dualperturb.files import entries, scratch

PUBLISHED = {one.name: one for one in (cifar10.PUBLISHED, stl10.PUBLISHED)}


def fetch(dataset: str, raw: Path, progress: Progress | None = None) -> int:
    """Download a data set's files into the folder `raw`; return how many files were put there.

    The archive (163 MiB for cifar10, 2.5 GB for stl10) is downloaded beside `raw`; a run that is ended leaves
    what it has of it, and the next one goes on from there (see `download`). Only whole files are moved into
    `raw`, of all that the archive holds only those that are read, and only where they are missing.
    Raises UserError for a data set that cannot be fetched, a file in `raw` that is not the official one, a
    folder or disk that cannot take the files, a failed download or an archive that lacks a file.
    """
    if dataset not in PUBLISHED:
        raise UserError(f"dataset: found {dataset!r}; accepted: {', '.join(PUBLISHED)}")
    published = PUBLISHED[dataset]
    _check_raw(raw)
    missing = [name for name in published.files if not _is_there(raw / name, published)]
    if not missing:
        return 0
    target = raw.resolve() if raw.is_symlink() else raw  # a link may lead to another file system
    with scratch(target) as holder:
        archive = target.parent / f".{published.archive}"
        _download(published, archive, progress)
        _unpack(archive, holder, missing)
        target.mkdir(exist_ok=True)
        for name in missing:
            os.replace(holder / name, target / name)
        archive.unlink()
    return len(missing)


def _check_raw(raw: Path) -> None:
    """Check, before hours of download, that files can be put into the folder `raw`."""
    if os.path.exists(raw):
        entries(raw, "accepted for --raw: a folder, or a free name")
        if not os.access(raw, os.W_OK | os.X_OK):
            raise UserError(
                f"--raw {raw}: cannot be written to; accepted: a folder of your own, or a free name"
            )


def _is_there(path: Path, published: Published) -> bool:
    """Whether the official file is there. Raises UserError if another lies in its place."""
    try:
        if not (path.exists() or path.is_symlink()):
            return False
        if path.is_file() and md5(path) == published.sums.get(path.name, md5(path)):
            return True
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); accepted: a file of yours, or none"
        ) from error
    raise UserError(f"{path}: is there and is not {published.title}'s official file; move it away first")


def _download(published: Published, archive: Path, progress: Progress | None) -> None:
    otherwise = f"unpack it elsewhere and link it with: dualperturb data link {published.name} --root DIR"
    download(published.url, archive, published.archive_md5, otherwise, progress)


def _unpack(archive: Path, holder: Path, wanted: list[str]) -> None:
    """Unpack the wanted files; whatever else an archive may hold, it can write nowhere but in `holder`."""
    left = set(wanted)
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = Path(member.name).name
                if member.isfile() and name in left:
                    source = tar.extractfile(member)
                    assert source is not None
                    with source, (holder / name).open("wb") as file:
                        shutil.copyfileobj(source, file)
                    left.remove(name)
    except (tarfile.TarError, EOFError) as error:
        archive.unlink()
        raise UserError(f"{archive.name}: cannot be unpacked ({error}); fetch it again") from error
    if left:
        archive.unlink()
        raise UserError(f"{archive.name}: holds no {sorted(left)[0]}; fetch it again")
