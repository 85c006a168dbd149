"""Downloads of the raw data that may be downloaded without a form to fill in: STL-10's labelled part."""

from __future__ import annotations

import os
import shutil
import tarfile
from http.client import HTTPException
from pathlib import Path

from dualperturb.datasets.stl10 import FILES, OFFICIAL_MD5, md5
from dualperturb.errors import UserError
from dualperturb.files import entries, is_full, scratch

FETCHABLE = ("stl10",)


def fetch(dataset: str, raw: Path) -> int:
    """Download a data set's files into the folder `raw`; return how many files were put there.

    The archive (2.5 GB for stl10) is downloaded and checked in a folder beside `raw`, which is removed at the
    end, or by the next run if this one is killed; only whole files are moved from there, and STL-10's
    unlabelled images are never unpacked. A later run puts there only files that are missing.
    Raises UserError for a data set that cannot be fetched, a file in `raw` that is not the official one, a
    folder or disk that cannot take the files, a failed download or an archive that lacks a file.
    """
    if dataset not in FETCHABLE:
        raise UserError(f"dataset: found {dataset!r}; accepted: {', '.join(FETCHABLE)}")
    _check_raw(raw)
    missing = [name for name in FILES if not _is_there(raw / name)]
    if not missing:
        return 0
    target = raw.resolve() if raw.is_symlink() else raw  # a link may lead to another file system
    with scratch(target) as holder:
        _unpack(_download(holder), holder, missing)
        target.mkdir(exist_ok=True)
        for name in missing:
            os.replace(holder / name, target / name)
    return len(missing)


def _check_raw(raw: Path) -> None:
    """Check, before hours of download, that files can be put into the folder `raw`."""
    if os.path.exists(raw):
        entries(raw, "accepted for --raw: a folder, or a free name")
        if not os.access(raw, os.W_OK | os.X_OK):
            raise UserError(
                f"--raw {raw}: cannot be written to; accepted: a folder of your own, or a free name"
            )


def _is_there(path: Path) -> bool:
    """Whether the official file is there. Raises UserError if another lies in its place."""
    try:
        if not (path.exists() or path.is_symlink()):
            return False
        if path.is_file() and md5(path) == OFFICIAL_MD5.get(path.name, md5(path)):
            return True
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); accepted: a file of yours, or none"
        ) from error
    raise UserError(f"{path}: is there and is not STL-10's official file; move it away first")


def _download(holder: Path) -> Path:
    """Download the official archive, with a bar on standard error. Raises UserError if it cannot be had."""
    from torchvision.datasets import STL10, utils

    try:
        utils.download_url(STL10.url, str(holder), STL10.filename, STL10.tgz_md5)
    except (OSError, RuntimeError, HTTPException) as error:
        if isinstance(error, OSError) and is_full(error):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{STL10.url}: cannot be downloaded ({reason}); run again with a network, or unpack it elsewhere "
            "and link it with: dualperturb data link stl10 --root DIR"
        ) from error
    return holder / STL10.filename


def _unpack(archive: Path, holder: Path, wanted: list[str]) -> None:
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
        raise UserError(f"{archive.name}: cannot be unpacked ({error}); fetch it again") from error
    if left:
        raise UserError(f"{archive.name}: holds no {sorted(left)[0]}; fetch it again")
