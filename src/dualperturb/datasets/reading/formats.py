"""Tests by name and by content for files that are photographs, whether they can be read or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dualperturb.datasets.reading.decode import RAW_SUFFIXES, is_image
from dualperturb.files import refuse_special

READ = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".avifs", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
)
# Photographs to a person, and perhaps to a later Pillow, but not to this one: images that cannot be read.
NOT_READ = (
    *(".heic", ".heif", ".heics", ".heifs", ".hif", ".jxl", ".jxr", ".wdp", ".svg", ".svgz", ".psd", ".psb"),
    *(".xcf", ".tga", ".exr", ".hdr", ".qoi", ".dds", ".ico", ".icns", ".pcx", ".eps", ".mpo", ".bpg"),
)
IMAGE_SUFFIXES = frozenset((*READ, *NOT_READ, *RAW_SUFFIXES))

_HEAD = 512
_MAGIC = (
    *(b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*", b"8BPS", b"\0\0\0\x0cJXL ", b"\xff\x0a"),
    *(b"IIRO", b"IIRS", b"IIU\0", b"FUJIFILMCCD-RAW", b"FOVb"),  # cameras' raw files
)
_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis", b"crx ")


def may_be_image(path: Path) -> bool:
    """Whether a file is named like a photograph or begins like one. Never for folders and hidden files."""
    if path.name.startswith(".") or path.is_dir():
        return False
    return path.suffix.lower() in IMAGE_SUFFIXES or is_image(path) or _begins_like_one(path)


def passed_over_line(paths: Sequence[object]) -> str:
    """The message about files and folders that are not read; `paths` holds at least one."""
    return f"{len(paths)} passed over, neither photographs nor masks of any: {_first(paths)}"


def transparent_line(paths: Sequence[object]) -> str:
    """The message about photographs with transparent parts; `paths` holds at least one."""
    return f"{len(paths)} with transparent parts, which are shown on white: {_first(paths)}"


def _first(paths: Sequence[object]) -> str:
    name = f"{paths[0]}".encode(errors="backslashreplace").decode()  # it may hold bytes that are no text
    return name + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")


def _begins_like_one(path: Path) -> bool:
    try:
        refuse_special(path)
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    svg = (
        head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<svg", b"<?xml", b"<!DOCTYPE svg"))
        and b"<svg" in head
    )
    return head.startswith(_MAGIC) or (head[4:8] == b"ftyp" and head[8:12] in _BRANDS) or svg
