"""The choice of the foreground among a mask file's values.

The first of these rules that applies decides:

- Labels that params.yaml chooses, by index in a file with a palette, else by grey value.
- An alpha channel that varies: what is more than half opaque is foreground.
- Grey values: two are expected, 0 and another, with values between them only at soft or JPEG-coded edges.

Anything else is refused, as any reading of it would be a guess.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from dualperturb.errors import UserError

WIDE_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_GREY_MODES = ("1", "L", "LA", "La")
_TOP, _WIDE_TOP = 255, 65535
_VOID = 255  # the index of pixels that belong to no class, in palettes of labels
_NOISE = 16  # grey levels that JPEG adds to a black or a white area
_SMOOTH = 64  # so many distinct values in one file are grey levels and not labels
_NEAR_WHITE = 3  # so many distinct values that near to white are JPEG's: label maps have 255 alone there
_GREY = 8  # the channels of a grey picture may differ by so much once it was coded with loss
_MOST_NAMED = 8
_CHOOSE = "<dataset>.masks.files.foreground and ignore choose labels of mask files"
_ACCEPTED = f"accepted: 0 and one other value, with soft edges between; {_CHOOSE}"


@dataclass(frozen=True)
class Labels:
    """The values of foreground, and of pixels that belong to no class; without any, two are expected."""

    foreground: tuple[int, ...] = ()
    ignore: tuple[int, ...] = ()


TWO_VALUES = Labels()


def foreground_of(image: Image.Image, path: Path, labels: Labels) -> np.ndarray:
    """Foreground of a decoded mask, bool (H, W). Raises UserError, naming `path`, where it is unclear.

    Ignored pixels that touch the foreground are foreground, the others background.
    """
    if not (labels.foreground or labels.ignore):
        alpha = _alpha(image)
        if alpha is not None and alpha.min() < alpha.max():
            return _opaque(alpha, path)
        values, indexed = _values(image, path)
        if alpha is not None and not alpha.any() and values.min() == values.max():
            raise UserError(f"{path}: is transparent everywhere and of one colour; {_ACCEPTED}")
        return _two_values(values, path, image.format == "JPEG", indexed)
    if image.format == "JPEG":
        raise UserError(f"{path}: a JPEG, which does not keep labels; accepted with foreground, ignore: PNG")
    values = _label_values(image, path)
    ignored = np.isin(values, labels.ignore)
    if labels.foreground:
        chosen = np.isin(values, labels.foreground)
    elif ignored.all():
        chosen = ~ignored
    else:
        rest = np.where(ignored, values[~ignored].min(), values)
        chosen = _two_values(rest, path, lossy=False, indexed=image.mode in ("P", "PA"))
    touching: np.ndarray = ndimage.binary_propagation(chosen, mask=chosen | ignored)
    return touching


def _alpha(image: Image.Image) -> np.ndarray | None:
    """Opacity (H, W), 0 to 255, from an alpha channel, a palette or one transparent colour; else None."""
    if not image.has_transparency_data:
        return None
    if image.mode in WIDE_MODES:
        return np.where(np.asarray(image) == image.info["transparency"], 0, _TOP)
    straight = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode))
    return np.asarray(straight.convert("RGBA"))[..., 3]


def _opaque(alpha: np.ndarray, path: Path) -> np.ndarray:
    low, high = int(alpha.min()), int(alpha.max())
    if not low <= _TOP // 2 < high:
        raise UserError(
            f"{path}: its alpha channel holds {low} to {high}; accepted: transparent and opaque parts"
        )
    opaque: np.ndarray = alpha > _TOP // 2
    return opaque


def _values(image: Image.Image, path: Path) -> tuple[np.ndarray, bool]:
    """Grey values or, of a palette of colours, its indices, int64 (H, W); and whether they are indices."""
    if image.mode in ("P", "PA"):
        indices = _indices(image)
        palette = np.zeros((256, 3), np.int64)
        colours = np.asarray(image.getpalette("RGB"), np.int64).reshape(-1, 3)[:256]
        palette[: len(colours)] = colours
        # GIF stores even a black and white mask with a palette, whose indices mean nothing.
        if np.ptp(palette[np.unique(indices)], axis=1).max() == 0:
            greys: np.ndarray = palette[:, 0][indices]
            return greys, False
        return indices, True
    if image.mode in ("F", *WIDE_MODES):
        return _wide(image, path), False
    if image.mode in _GREY_MODES:
        return np.asarray(image.convert("L"), np.int64), False
    pixels: np.ndarray = np.asarray(image.convert("RGB"), np.int64)
    if np.ptp(pixels, axis=2).max() <= _GREY:
        return pixels.max(axis=2), False
    colours = np.unique(pixels.reshape(-1, 3), axis=0)
    if len(colours) == 2 and not colours[0].any():
        return np.asarray(pixels.any(axis=2), np.int64), False
    raise UserError(f"{path}: a picture of {len(colours)} colours; {_ACCEPTED}")


def _label_values(image: Image.Image, path: Path) -> np.ndarray:
    return _indices(image) if image.mode in ("P", "PA") else _values(image, path)[0]


def _indices(image: Image.Image) -> np.ndarray:
    return np.asarray(image).reshape(image.height, image.width, -1)[..., 0].astype(np.int64)


def _wide(image: Image.Image, path: Path) -> np.ndarray:
    """16-bit and 32-bit integers as they are, and floating-point numbers that are whole."""
    pixels = np.asarray(image)
    values = np.nan_to_num(pixels).astype(np.int64)
    if (values != pixels).any():
        raise UserError(f"{path}: floating-point pixels; {_ACCEPTED}")
    return values


def _two_values(values: np.ndarray, path: Path, lossy: bool, indexed: bool) -> np.ndarray:
    distinct = _distinct(values)
    top = _WIDE_TOP if distinct[-1] > _TOP else _TOP
    noise = _NOISE * top // _TOP
    near_white = (distinct >= top - noise).sum()
    smooth = not indexed and (lossy or len(distinct) >= _SMOOTH or near_white >= _NEAR_WHITE)
    if smooth:
        values = np.where(values <= noise, 0, np.where(values >= top - noise, top, values))
    low, high = int(values.min()), int(values.max())
    if low == high and low in (0, 1, top):  # an empty mask, or a full one
        return values > 0
    far_apart = low == 0 or (not indexed and 0 < low <= top // 2 < high)
    void_alone = indexed and high == _VOID
    if low == high or not far_apart or void_alone:
        raise _refusal(path, distinct)
    between = (values > low) & (values < high)
    if between.any() and (indexed or not _are_edges(values, between, smooth)):
        raise _refusal(path, distinct)
    upper: np.ndarray = 2 * values > low + high
    return upper


def _distinct(values: np.ndarray) -> np.ndarray:
    """The values that occur, sorted; those of most files are counted, which is faster than sorting them."""
    if values.min() < 0 or values.max() > _WIDE_TOP:
        return np.unique(values)
    return np.flatnonzero(np.bincount(values.ravel()))


def _are_edges(values: np.ndarray, between: np.ndarray, smooth: bool) -> bool:
    """Whether the pixels between the lowest and the highest value are those of soft edges.

    Labels fill areas of one value, or lie close to 0. smooth: do not take JPEG's noise or blocks for areas.
    """
    if 2 * between.sum() > between.size:
        return False
    low, high = int(values.min()), int(values.max())
    size, span = (9, 8 * (high - low) // _TOP) if smooth else (3, 0)
    outside = {"mode": "constant", "cval": low - high - 1}
    spans = ndimage.maximum_filter(values, size, **outside) - ndimage.minimum_filter(values, size, **outside)
    if (between & (spans <= span)).any():
        return False
    # Real edges hold some values well between the two; if they hold one alone, it must be near the middle.
    inner = np.unique(values[between])
    widest = (0.75 if len(inner) > 1 else 0.125) * (high - low)
    return smooth or bool((np.abs(2 * inner - low - high) < widest).any())


def _refusal(path: Path, distinct: np.ndarray) -> UserError:
    named = ", ".join(map(str, distinct[:_MOST_NAMED]))
    more = f" and {len(distinct) - _MOST_NAMED} more" if len(distinct) > _MOST_NAMED else ""
    return UserError(f"{path}: holds the value{'s' * (len(distinct) > 1)} {named}{more}; {_ACCEPTED}")
