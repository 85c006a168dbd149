"""The download of one file, which goes on where an earlier run ended.

What has come so far lies beside the file's place, with `.part` after its name. It is kept whatever ends the
run, and takes the file's place when its MD5 sum is the right one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from dualperturb.datasets.published import md5
from dualperturb.errors import UserError
from dualperturb.files import is_full

_PIECE = 2**18  # bytes
_PATIENCE = 60  # seconds without a byte
_PAST_THE_END = 416
# Called after each piece: MiB that are there, MiB in all.
Progress = Callable[[int, int], None]


def download(url: str, place: Path, expected: str, otherwise: str, progress: Progress | None = None) -> None:
    """Write the file at `url` to `place`, if it is not there yet.

    expected: its MD5 sum; otherwise: what to do where there is no network. Raises UserError for a download
    that fails or ends early, which the next one goes on with, and for another sum, after which the next one
    begins anew; OSError for a full disk.
    """
    if place.exists():
        return
    part = place.with_name(f"{place.name}.part")
    try:
        _fetch(url, part, progress)
    except (OSError, HTTPException) as error:
        if isinstance(error, OSError) and is_full(error):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        line = f"{url}: cannot be downloaded ({reason}); run again to go on, or {otherwise}"
        raise UserError(line) from error
    found = md5(part)
    if found != expected:
        part.unlink()
        raise UserError(
            f"{url}: came with the MD5 sum {found}; accepted: {expected}; run again, or {otherwise}"
        )
    os.replace(part, place)


def _fetch(url: str, part: Path, progress: Progress | None) -> None:
    """Append to `part` what it lacks, or begin anew where the server sends whole files alone."""
    there = part.stat().st_size if part.exists() else 0
    request = Request(url, headers={"User-Agent": "dualperturb"})
    if there:
        request.add_header("Range", f"bytes={there}-")
    try:
        with urlopen(request, timeout=_PATIENCE) as answer:
            if not answer.headers.get("Content-Range", "").startswith(f"bytes {there}-"):
                part.unlink(missing_ok=True)
                there = 0
            with part.open("ab") as file:
                _copy(answer, file, there, progress)
    except HTTPError as error:
        if error.code != _PAST_THE_END:  # else all of it is there: an earlier run ended before the check
            raise


def _copy(answer: Any, file: IO[bytes], done: int, progress: Progress | None) -> None:
    length = answer.headers.get("Content-Length")
    total = done + int(length) if length else None
    while piece := answer.read(_PIECE):
        file.write(piece)
        done += len(piece)
        if progress is not None and total is not None:
            progress(done // 2**20, total // 2**20)
    if total is not None and done < total:
        raise HTTPException(f"ended after {done} of {total} bytes")
