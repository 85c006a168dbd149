"""Pictures as text: data URIs of images, the outline of a mask as an SVG path."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image

# Above this side a photograph is packed with loss: 270 of them would not fit into a page otherwise.
_LARGEST_LOSSLESS = 64  # pixels
_QUALITY = 90


def picture_uri(image: npt.NDArray[np.floating]) -> str:
    """`image` (3, H, W) in [0, 1]: PNG up to 64 pixels of side, above it WebP of quality 90."""
    pixels = np.round(255 * np.clip(image.astype(np.float64), 0, 1)).astype(np.uint8).transpose(1, 2, 0)
    kind = "png" if max(pixels.shape[:2]) <= _LARGEST_LOSSLESS else "webp"
    options = {"optimize": True} if kind == "png" else {"quality": _QUALITY}
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return data_uri(file.getvalue(), f"image/{kind}")


def data_uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def outline_path(mask: npt.NDArray[np.bool_]) -> str:
    """The edges between pixels inside and outside `mask` (H, W), in a box of W x H units.

    Straight edges are one stroke. Along the border of the image there is no edge.
    """
    strokes = []
    for row, col, length in _runs(mask[1:] != mask[:-1]):
        strokes.append(f"M{col} {row + 1}h{length}")
    for col, row, length in _runs((mask[:, 1:] != mask[:, :-1]).T):
        strokes.append(f"M{col + 1} {row}v{length}")
    return "".join(strokes)


def _runs(edges: npt.NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """(line, start, length) of every run of True along the lines of a 2D array."""
    padded = np.pad(edges.astype(np.int8), ((0, 0), (1, 1)))
    step = np.diff(padded, axis=1)
    starts, ends = np.argwhere(step == 1), np.argwhere(step == -1)
    return [
        (int(line), int(start), int(end - start))
        for (line, start), (_, end) in zip(starts, ends, strict=True)
    ]
