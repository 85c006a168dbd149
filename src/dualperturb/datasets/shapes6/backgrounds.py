"""The six kinds of background of shapes6, in the order of the classes they go with.

Each has its own low-frequency colours and texture, with enough spread that no one pixel gives the kind away.
Colours are (red, green, blue) in [0, 255].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]


def _tint(rng: np.random.Generator, base: Colour, spread: float = 24.0) -> Colour:
    """`base` made lighter or darker as a whole, and each channel moved a little more."""
    moved = np.array(base) + rng.normal(0.0, spread) + rng.normal(0.0, spread / 2, 3)
    red, green, blue = np.clip(moved, 0, 255).astype(int).tolist()
    return red, green, blue


def _fade(top: Colour, bottom: Colour, size: int) -> Image.Image:
    """A canvas whose rows blend from `top` to `bottom`."""
    share = np.linspace(0.0, 1.0, size)[:, None]
    rows = (1 - share) * np.array(top) + share * np.array(bottom)
    return Image.fromarray(rows.astype(np.uint8)[:, None, :]).resize((size, size), Image.Resampling.NEAREST)


def _sky(rng: np.random.Generator, size: int) -> Image.Image:
    return _fade(_tint(rng, (120, 165, 215)), _tint(rng, (190, 210, 225)), size)


def _spots(
    rng: np.random.Generator, pen: ImageDraw.ImageDraw, count: int, top: float, radius: float, base: Colour
) -> None:
    """`count` small discs below the row `top` of a canvas, radius and position in pixels."""
    width, height = pen.im.size
    for x, y, r in rng.uniform((0, top, 0.5 * radius), (width, height, 1.5 * radius), (count, 3)).tolist():
        pen.ellipse((x - r, y - r, x + r, y + r), fill=_tint(rng, base))


def _ridge(rng: np.random.Generator, size: int, level: float, swing: float) -> list[float]:
    """The outline of rolling ground that fills a canvas below about the row `level`."""
    x = np.linspace(0, size, 17)
    turns, phase = rng.uniform(0.5, 1.6), rng.uniform(0, 2 * np.pi)
    y = level + swing * np.sin(2 * np.pi * turns * x / size + phase)
    return [*np.stack([x, y], axis=1).ravel().tolist(), size, size, 0, size]


def _sea(rng: np.random.Generator, size: int) -> Image.Image:
    """Open water under a strip of sky: wavy bright and dark lines."""
    canvas = _sky(rng, size)
    pen = ImageDraw.Draw(canvas)
    horizon = rng.uniform(0.12, 0.32) * size
    water = _tint(rng, (45, 105, 155))
    pen.rectangle((0, horizon, size, size), fill=water)
    x = np.linspace(0, size, 25)
    for y in np.arange(horizon + 4, size, rng.uniform(9, 14)):
        wave = y + 3.0 * np.sin(2 * np.pi * x / rng.uniform(24, 48) + rng.uniform(0, 2 * np.pi))
        crest = _tint(rng, (110, 170, 205)) if rng.random() < 0.6 else _tint(rng, (20, 65, 115))
        pen.line(np.stack([x, wave], axis=1).ravel().tolist(), fill=crest, width=int(rng.integers(3, 6)))
    return canvas


def _garden(rng: np.random.Generator, size: int) -> Image.Image:
    """A flat lawn with tufts and flowers under a sky."""
    canvas = _sky(rng, size)
    pen = ImageDraw.Draw(canvas)
    horizon = rng.uniform(0.4, 0.62) * size
    pen.rectangle((0, horizon, size, size), fill=_tint(rng, (90, 155, 65)))
    for x, y, tall in rng.uniform((0, horizon, 8), (size, size, 18), (40, 3)).tolist():
        pen.line((x, y, x, y - tall), fill=_tint(rng, (60, 120, 45)), width=3)
    _spots(rng, pen, int(rng.integers(2, 7)), horizon, 3.5, (215, 190, 130))
    return canvas


def _clouds(rng: np.random.Generator, size: int) -> Image.Image:
    """Nothing but sky, with heaps of cloud."""
    canvas = _sky(rng, size)
    pen = ImageDraw.Draw(canvas)
    for x, y, r in rng.uniform((0, 0, 8), (size, size, 15), (int(rng.integers(3, 6)), 3)).tolist():
        cloud = _tint(rng, (240, 240, 242), 10.0)
        for step in (-1.1, 0.0, 1.1):
            rise = r if step else 1.3 * r
            pen.ellipse((x + step * r - r, y - rise, x + step * r + r, y + 0.6 * r), fill=cloud)
    return canvas


def _deep(rng: np.random.Generator, size: int) -> Image.Image:
    """Under water: darkening downwards, slanting shafts of light, bubbles, a little sand."""
    canvas = _fade(_tint(rng, (60, 160, 165)), _tint(rng, (20, 70, 95)), size)
    pen = ImageDraw.Draw(canvas)
    lean = rng.uniform(-0.5, 0.5) * size
    for x, wide in rng.uniform((0, 5), (size, 13), (int(rng.integers(2, 5)), 2)).tolist():
        shaft = (x, 0, x + wide, 0, x + lean + 1.5 * wide, size, x + lean, size)
        pen.polygon(shaft, fill=_tint(rng, (75, 165, 165), 14.0))
    pen.polygon(_ridge(rng, size, rng.uniform(0.86, 1.0) * size, 5.0), fill=_tint(rng, (165, 155, 115)))
    for x, y, r in rng.uniform((0, 0, 3), (size, size, 7), (int(rng.integers(5, 12)), 3)).tolist():
        pen.ellipse((x - r, y - r, x + r, y + r), outline=_tint(rng, (185, 225, 225)), width=3)
    return canvas


def _hills(rng: np.random.Generator, size: int) -> Image.Image:
    """Layers of rolling hills, from hazy to near."""
    canvas = _sky(rng, size)
    pen = ImageDraw.Draw(canvas)
    layers: tuple[tuple[float, Colour], ...] = (
        (0.28, (125, 150, 150)),
        (0.48, (135, 140, 85)),
        (0.7, (125, 110, 50)),
    )
    for level, base in layers:
        height = (level + rng.uniform(-0.08, 0.08)) * size
        pen.polygon(_ridge(rng, size, height, rng.uniform(6, 14)), fill=_tint(rng, base))
    _spots(rng, pen, int(rng.integers(6, 14)), 0.7 * size, 3.0, (90, 80, 40))
    return canvas


def _street(rng: np.random.Generator, size: int) -> Image.Image:
    """A road with a dashed line in front of a row of buildings with windows."""
    canvas = _sky(rng, size)
    pen = ImageDraw.Draw(canvas)
    kerb, left = rng.uniform(0.52, 0.7) * size, rng.uniform(-20, 0)
    while left < size:
        wide, roof = rng.uniform(22, 42), rng.uniform(0.02, 0.3) * size
        pen.rectangle((left, roof, left + wide, kerb), fill=_tint(rng, (150, 125, 115)))
        window = _tint(rng, (85, 85, 100))
        for y in np.arange(roof + 6, kerb - 10, 16).tolist():
            for x in np.arange(left + 5, left + wide - 8, 13).tolist():
                pen.rectangle((x, y, x + 6, y + 8), fill=window)
        left += wide + 1
    pen.rectangle((0, kerb, size, size), fill=_tint(rng, (85, 85, 90)))
    pen.rectangle((0, kerb, size, kerb + 5), fill=_tint(rng, (165, 165, 165)))
    row, paint = rng.uniform(0.78, 0.92) * size, _tint(rng, (215, 210, 185))
    for x in np.arange(rng.uniform(-30, 0), size, 34).tolist():
        pen.rectangle((x, row, x + 18, row + 5), fill=paint)
    return canvas


PAINTERS: tuple[Callable[[np.random.Generator, int], Image.Image], ...] = (
    _sea,
    _garden,
    _clouds,
    _deep,
    _hills,
    _street,
)


def _clutter(rng: np.random.Generator, canvas: Image.Image) -> None:
    """One to four small shapes of any colour, which belong to no class."""
    pen = ImageDraw.Draw(canvas)
    for _ in range(int(rng.integers(1, 5))):
        x, y = rng.uniform(0, canvas.width, 2).tolist()
        reach = float(rng.uniform(5, 12))
        colour = _tint(rng, (128, 128, 128), 60.0)
        kind = int(rng.integers(3))
        if kind == 0:
            pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)
        elif kind == 1:
            pen.rectangle((x - reach, y - 0.6 * reach, x + reach, y + 0.6 * reach), fill=colour)
        else:
            pen.polygon((x, y - reach, x + reach, y + reach, x - reach, y + reach), fill=colour)


def draw_background(rng: np.random.Generator, kind: int, size: int) -> Image.Image:
    """An RGB canvas (size, size) with the background that goes with class `kind` (0..5), and some clutter."""
    canvas = PAINTERS[kind](rng, size)
    _clutter(rng, canvas)
    return canvas
