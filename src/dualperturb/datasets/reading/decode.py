"""The decoding of an image file of any format to square uint8 pixels, and of its mask, cropped alike.

A file's content decides what it is: a PNG named `.JPEG` opens, a text file named `.jpg` does not.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from dualperturb.datasets.reading.mask_values import TWO_VALUES, WIDE_MODES, Labels, foreground_of
from dualperturb.errors import UserError
from dualperturb.files import refuse_special

# These are named, because some of Pillow's other readers accept almost any file, or start a program for it.
Image.init()
_FORMATS = tuple(
    name
    for name in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")
    if name in Image.OPEN
)
_MAX_16_BIT = 65535
# In these raw files of cameras Pillow finds at most a small preview, which it reads as a TIFF.
RAW_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "iiq", "k25", "kdc", "mef", "mos"),
        *("mrw", "nef", "nrw", "orf", "pef", "raf", "raw", "rw2", "rwl", "sr2", "srf", "srw", "x3f"),
    )
)
_SUBFILE_TYPE, _DNG_VERSION = 254, 50706  # tags of TIFF


class UnreadableError(Exception):
    """A file that does not decode to an image. `path` names it, the message says why in one line."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)  # both, so that it can be handed from one process to another
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return self.reason


def is_image(path: Path) -> bool:
    """Whether a file's content begins like an image's; the pixels are not decoded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            refuse_special(path)
            with Image.open(path, formats=_FORMATS):
                return True
        except (OSError, ValueError, Image.DecompressionBombError):
            return False


class Picture(NamedTuple):
    """Pixels uint8 (3, side, side), RGB; foreground bool (1, side, side), or None where there is no mask.

    transparent: whether the photograph has transparent parts, which are shown on white.
    """

    pixels: np.ndarray
    foreground: np.ndarray | None
    transparent: bool


def read_photo(path: Path, mask: Path | None, resize: int, side: int) -> Picture:
    """Decode a photograph and its mask.

    The image is turned as its EXIF orientation says, its shorter side resized to `resize` pixels (bicubic,
    antialiased; a small image is enlarged) and the centre cut out. The mask is treated alike, but resized by
    nearest neighbour. Raises UnreadableError for a file that does not decode, and UserError for a mask that
    is not of its image's size or does not tell its foreground (see `mask_values`).
    """
    image, transparent = _to_rgb(open_upright(path), path)
    pixels = np.asarray(_resize_crop(image, resize, side, Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    if mask is None:
        return Picture(pixels, None, transparent)
    grey = open_mask(mask)
    _check_size(grey, mask, image, path)
    cropped = np.asarray(_resize_crop(grey, resize, side, Image.Resampling.NEAREST))
    return Picture(pixels, cropped[None] > 0, transparent)


def open_mask(path: Path, labels: Labels = TWO_VALUES) -> Image.Image:
    """Decode a mask and turn it upright: 8-bit grey, 255 where there is foreground and 0 elsewhere.

    Raises UnreadableError, also for a file of several frames, since none of them is known to be the mask; and
    UserError for values that do not tell the foreground (see `mask_values`).
    """
    upright = open_upright(path, several_frames=False)
    return Image.fromarray(foreground_of(upright, path, labels).astype(np.uint8) * 255)


def open_upright(path: Path, several_frames: bool = True) -> Image.Image:
    """Decode a file's first frame whole and turn it upright. Raises UnreadableError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of odd metadata in images that decode without fault
        try:
            refuse_special(path)
            with Image.open(path, formats=_FORMATS) as image:
                _refuse_preview(image, path)
                frames = getattr(image, "n_frames", 1)
                if frames > 1 and not several_frames:
                    raise UnreadableError(path, f"{frames} frames, expected one")
                image.load()
        except UnreadableError:
            raise
        except Exception as error:  # a damaged file makes Pillow's decoders raise almost any exception
            raise UnreadableError(path, _reason(error)) from error
        try:
            upright = ImageOps.exif_transpose(image)
        except Exception:  # damaged EXIF data says nothing about the pixels: they stay as they are stored
            return image
        upright.format = image.format  # Pillow's copy has none
        return upright


def _refuse_preview(image: Image.Image, path: Path) -> None:
    tags = getattr(image, "tag_v2", {})
    reduced = int(tags.get(_SUBFILE_TYPE, 0)) & 1
    if reduced or _DNG_VERSION in tags or path.suffix.lower() in RAW_SUFFIXES:
        raise UnreadableError(path, "a camera's raw file, of which only a preview can be read; convert it")


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "no image format that can be read here"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def _to_rgb(image: Image.Image, path: Path) -> tuple[Image.Image, bool]:
    """Grey, palette, CMYK, 16-bit and so on -> RGB; transparent parts are shown on white, as on a page.

    The second value returned says whether there are transparent parts.
    """
    image = _to_eight_bit(image, path)
    if not image.has_transparency_data:
        try:
            return image.convert("RGB"), False
        except ValueError as error:
            raise UnreadableError(path, f"pixels of mode {image.mode}, which has no way to RGB") from error
    image = image.convert("RGBA")
    page = Image.new("RGBA", image.size, "white")
    transparent = image.getchannel("A").getextrema() != (255, 255)
    return Image.alpha_composite(page, image).convert("RGB"), transparent


def _to_eight_bit(image: Image.Image, path: Path) -> Image.Image:
    """16-bit grey values are divided by 257; other wide pixels have no agreed range and are unreadable."""
    if image.mode == "F":
        raise UnreadableError(path, "floating-point pixels, whose range is not known")
    if image.mode not in WIDE_MODES:
        return image
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > _MAX_16_BIT:
        raise UnreadableError(path, "32-bit integer pixels, whose range is not known")
    return Image.fromarray(((values + 128) // 257).astype(np.uint8))


def _resize_crop(image: Image.Image, resize: int, side: int, filter_: Image.Resampling) -> Image.Image:
    """Resize the shorter side to `resize` and cut out the centre, in one step: only the crop is computed."""
    width, height = image.size
    crop = min(width, height) * side / resize
    left, top = (width - crop) / 2, (height - crop) / 2
    return image.resize((side, side), filter_, box=(left, top, left + crop, top + crop))


def _check_size(grey: Image.Image, mask: Path, image: Image.Image, path: Path) -> None:
    if grey.size != image.size:
        found, expected = ("x".join(map(str, size)) for size in (grey.size, image.size))
        raise UserError(
            f"{mask}: the mask is {found} pixels, its image {path} is {expected}; accepted: one size"
        )
