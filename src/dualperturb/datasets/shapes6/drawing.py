"""shapes6: procedural 32x32 colour images in six classes, with exact foreground masks.

An object of the image's class, put together from parts, stands before a background. Each class has its own
kind of background, shown with a given probability and otherwise replaced by another class's, so that a
classifier can rely on the background, as with photographs. Colours of objects do not depend on the
class. The arithmetic is in float64, so that processors whose sines differ in the last bit round to the same
bytes.
"""

from __future__ import annotations

import numpy as np

from dualperturb.datasets.shapes6.backgrounds import draw_background
from dualperturb.datasets.shapes6.objects import BODY, ROLES, draw_object
from dualperturb.errors import UserError

CLASS_NAMES = ("boat", "house", "bird", "fish", "tree", "car")
SIDE = 32
SPLITS = ("train", "test")

_OVERSAMPLING = 4
_CANVAS = SIDE * _OVERSAMPLING
_ROWS, _COLUMNS = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
# Least RGB distance, channels in [0, 1], of an object's colours from each other and from the mean background.
_CONTRAST = 0.4
# Objects are muted towards the backdrop's mean colour, as by haze: this share of the difference is left.
_PRESENCE = 0.85


def _stream(seed: int, split: str, index: int, purpose: int) -> np.random.Generator:
    """The random numbers of one image for one purpose, so that masks do not depend on the background."""
    key = (SPLITS.index(split), index, purpose)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _background_kind(rng: np.random.Generator, label: int, background_match: float) -> int:
    """The class whose background is shown: `label` with probability `background_match`, else another."""
    shift = 0 if rng.random() < background_match else int(rng.integers(1, len(CLASS_NAMES)))
    return (label + shift) % len(CLASS_NAMES)


def _coverage(roles: np.ndarray) -> np.ndarray:
    """(ROLES, 32, 32): the share of each pixel that each role covers, from an oversampled map of 1 + role."""
    blocks = roles.reshape(SIDE, _OVERSAMPLING, SIDE, _OVERSAMPLING)
    return np.stack([(blocks == 1 + role).mean(axis=(1, 3)) for role in range(ROLES)])


def _contrasting(rng: np.random.Generator, others: list[np.ndarray]) -> np.ndarray:
    """A random colour at least `_CONTRAST` away from each of `others`, or else the farthest of 16 colours."""
    candidates = rng.uniform(0.04, 0.96, (16, 3))
    distance = np.linalg.norm(candidates[:, None] - np.array(others)[None], axis=2).min(axis=1)
    far = np.flatnonzero(distance >= _CONTRAST)
    return candidates[far[0] if far.size else int(distance.argmax())]


def _palette(rng: np.random.Generator, backdrop: np.ndarray) -> np.ndarray:
    """(ROLES, 3): one colour a role, away from the backdrop's mean colour and from the body's, then muted."""
    colours = [_contrasting(rng, [backdrop])]
    while len(colours) < ROLES:
        colours.append(_contrasting(rng, [backdrop, *colours]))
    return backdrop + _PRESENCE * (np.stack(colours) - backdrop)


def _texture(rng: np.random.Generator) -> np.ndarray:
    """(32, 32) factor for the object's body: plain, striped or speckled."""
    kind = int(rng.integers(3))
    if kind == 0:
        return np.ones((SIDE, SIDE))
    strength = rng.uniform(0.1, 0.3)
    if kind == 1:
        angle, waves, phase = rng.uniform((0, 5, 0), (np.pi, 10, 2 * np.pi))
        along = _COLUMNS * np.cos(angle) + _ROWS * np.sin(angle)
        return 1 + strength * np.sin(2 * np.pi * waves * along + phase)
    return 1 + strength * rng.standard_normal((SIDE, SIDE))


def _light(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """The image (3, 32, 32) under another brightness, contrast and gradient of light, with sensor noise."""
    contrast, brightness = rng.uniform(0.7, 1.05), rng.uniform(-0.08, 0.08)
    angle, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.4)
    gradient = 1 + slope * (_COLUMNS * np.cos(angle) + _ROWS * np.sin(angle))
    noise = rng.uniform(0.008, 0.025) * rng.standard_normal(image.shape, dtype=np.float32).astype(np.float64)
    return (0.5 + contrast * (image - 0.5) + brightness) * gradient + noise


def _draw_one(
    seed: int, split: str, index: int, label: int, background_match: float
) -> tuple[np.ndarray, np.ndarray, int]:
    """One image (3, 32, 32) uint8, its foreground (1, 32, 32) bool, the class whose background it shows."""
    pose, scene, look = (_stream(seed, split, index, purpose) for purpose in range(3))
    parts = _coverage(draw_object(pose, label, _CANVAS))
    covered = parts.sum(axis=0)

    kind = _background_kind(scene, label, background_match)
    canvas = draw_background(scene, kind, _CANVAS).reduce(_OVERSAMPLING)
    backdrop = np.asarray(canvas, dtype=np.float64).transpose(2, 0, 1) / 255

    palette = _palette(look, backdrop.mean(axis=(1, 2)))
    parts[BODY] *= _texture(look)
    thing = np.einsum("rhw,rc->chw", parts, palette)
    image = _light(look, thing + (1 - covered) * backdrop)
    pixels = (np.clip(image, 0, 1) * 255).round().astype(np.uint8)
    return pixels, (covered > 0.5)[None], kind


def _check(count: int, seed: int, split: str, background_match: float) -> None:
    if count < 1:
        raise UserError(f"shapes6: count is {count}; accepted: a whole number from 1")
    if seed < 0:
        raise UserError(f"shapes6: seed is {seed}; accepted: a whole number from 0")
    if split not in SPLITS:
        raise UserError(f"shapes6: split is {split!r}; accepted: {', '.join(SPLITS)}")
    if not 0 <= background_match <= 1:
        raise UserError(f"shapes6: background_match is {background_match}; accepted: from 0 to 1")


def draw(
    count: int, seed: int, split: str, background_match: float = 0.7, first: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`count` images of a split, in the order of their index, from `first` on.

    Image i has label i % 6 and depends on `seed`, `split`, i and `background_match` alone, not on `count`.
    `background_match` is the probability that an image shows its own class's background; masks do not depend
    on it.

    Returns images uint8 (count, 3, 32, 32), labels int64 (count,) and foreground bool (count, 1, 32, 32),
    true where the object covers more than half of a pixel. Raises UserError for a count below 1, a negative
    seed, an unknown split or a probability outside [0, 1].
    """
    _check(count, seed, split, background_match)
    images = np.empty((count, 3, SIDE, SIDE), dtype=np.uint8)
    foreground = np.empty((count, 1, SIDE, SIDE), dtype=bool)
    labels = np.arange(first, first + count, dtype=np.int64) % len(CLASS_NAMES)
    for place, label in enumerate(labels.tolist()):
        drawn = _draw_one(seed, split, first + place, label, background_match)
        images[place], foreground[place], _ = drawn
    return images, labels, foreground
