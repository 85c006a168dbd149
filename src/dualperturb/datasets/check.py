"""The check of a prepared folder: its counts, sizes and checksums, and a contact sheet to look at."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dualperturb.core.images import SPLITS, ImageSet, load_meta, load_split
from dualperturb.errors import REMAKE, UserError
from dualperturb.files import entries, refuse_special, sha256

_TILE_PIXELS = 112
_GAP = 4
_LABEL_WIDTH = 150
_LETTERS = 14  # points
_LAST_OF_LATIN = "\u017f"  # the last of the letters that Pillow's own font has
_OUTLINE = (255, 0, 255)
_KEYS = ("name", "class_names", "folders", "side", "source", "skipped")
_SPLIT_KEYS = ("count", "sha256")


@dataclass(frozen=True)
class SplitReport:
    """One split in numbers.

    counts: images by label; size_bytes: of its files together; background: the mean share of the pixels that
    are background, or None without masks.
    """

    counts: tuple[int, ...]
    size_bytes: int
    background: float | None


@dataclass(frozen=True)
class CheckReport:
    """The contents of a prepared folder whose files are those that `meta.json` describes."""

    name: str
    class_names: tuple[str, ...]
    folders: tuple[str, ...]
    side: int
    source: str
    splits: dict[str, SplitReport]
    skipped: tuple[str, ...]
    deviations: tuple[str, ...] = ()
    passed_over: tuple[str, ...] = ()
    transparent: tuple[str, ...] = ()


def check(folder: Path) -> CheckReport:
    """Read a prepared folder whole and compare it with its `meta.json`.

    Raises UserError for the first file that is absent or whose checksum, count or shape differs.
    """
    meta = _meta(folder)
    splits = {}
    for split in SPLITS:
        sums: dict[str, str] = meta["splits"][split]["sha256"]
        for name, expected in sums.items():
            _verify(folder / name, expected)
        image_set = load_split(folder, split)
        counts = np.bincount(image_set.labels, minlength=len(image_set.class_names))
        splits[split] = SplitReport(
            counts=tuple(int(count) for count in counts),
            size_bytes=sum((folder / name).stat().st_size for name in sums),
            background=None if image_set.foreground is None else 1 - float(image_set.foreground.mean()),
        )
    return CheckReport(
        name=meta["name"],
        class_names=tuple(meta["class_names"]),
        folders=tuple(meta["folders"]),
        side=meta["side"],
        source=meta["source"],
        splits=splits,
        skipped=tuple(meta["skipped"]),
        deviations=(*meta.get("deviations", ()), *meta.get("warnings", ())),
        passed_over=tuple(meta.get("passed_over", ())),
        transparent=tuple(meta.get("transparent", ())),
    )


def contact_sheet(image_set: ImageSet, columns: int) -> Image.Image:
    """The first `columns` images of each class in a row beside the class's name, RGB.

    Images smaller than a tile are enlarged without smoothing; a mask's outline is drawn in magenta.
    """
    tile = max(_TILE_PIXELS, image_set.side if image_set.side <= 2 * _TILE_PIXELS else 0)
    step = tile + _GAP
    names = image_set.class_names
    sheet = Image.new("RGB", (_LABEL_WIDTH + columns * step, len(names) * step + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for label, name in enumerate(names):
        name, font = _lettered(name)
        top = _GAP + label * step
        draw.text((_GAP, top + tile // 2), _fitting(name, font), fill="black", anchor="lm", font=font)
        for column, index in enumerate(np.flatnonzero(image_set.labels == label)[:columns]):
            sheet.paste(_tile(image_set, int(index), tile), (_LABEL_WIDTH + column * step, top))
    return sheet


def _meta(folder: Path) -> dict[str, Any]:
    """`meta.json`, if it holds what the report needs."""
    if os.path.exists(folder):
        for path in entries(folder, "accepted: a prepared folder"):
            _check_special(path)
    meta = load_meta(folder)
    try:
        lacks = [key for key in _KEYS if key not in meta]
        for split in SPLITS:
            lacks += [f"{split}'s {key}" for key in _SPLIT_KEYS if key not in meta["splits"][split]]
    except (KeyError, TypeError):
        lacks = ["splits"]
    if lacks:
        raise UserError(f"{folder / 'meta.json'}: lacks {lacks[0]}; {REMAKE}")
    return meta


def _check_special(path: Path) -> None:
    if not path.exists():  # a broken link, which matters only to the code that reads it
        return
    try:
        refuse_special(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; {REMAKE}") from error


def _verify(path: Path, expected: str) -> None:
    try:
        found = sha256(path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; {REMAKE}") from error
    if found != expected:
        raise UserError(f"{path}: its SHA-256 is not the one in meta.json; {REMAKE}")


def _tile(image_set: ImageSet, index: int, tile: int) -> Image.Image:
    enlarge = image_set.side < tile
    image = Image.fromarray(np.ascontiguousarray(image_set.images[index].transpose(1, 2, 0)))
    image = image.resize((tile, tile), Image.Resampling.NEAREST if enlarge else Image.Resampling.BICUBIC)
    if image_set.foreground is None:
        return image
    mask = Image.fromarray(np.ascontiguousarray(image_set.foreground[index, 0]))
    pixels = np.array(image)
    pixels[_outline(np.asarray(mask.resize((tile, tile), Image.Resampling.NEAREST)))] = _OUTLINE
    return Image.fromarray(pixels)


def _outline(mask: np.ndarray) -> np.ndarray:
    """The pixels of a bool mask (H, W) that have a neighbour outside it."""
    padded = np.pad(mask, 1, mode="edge")
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    outline: np.ndarray = mask & ~inner
    return outline


def _lettered(name: str) -> tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    """The name, or its escaped form, and a font that has its letters: Pillow's own or an installed one."""
    usual = ImageFont.load_default(size=_LETTERS)
    if all(letter <= _LAST_OF_LATIN for letter in name):
        return name, usual
    from dualperturb.fonts import escaped, file_of

    file = file_of(name)
    return (name, ImageFont.truetype(file, _LETTERS)) if file else (escaped(name), usual)


def _fitting(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The name, cut where it would run into the images."""
    shown = name
    while font.getlength(shown) > _LABEL_WIDTH - 2 * _GAP:
        shown = shown.rstrip("…")[:-1] + "…"
    return shown
