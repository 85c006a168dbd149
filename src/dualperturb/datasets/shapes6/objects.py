"""The six object classes of shapes6, each put together from polygons in an upright unit frame.

A part is a role and a polygon; parts are painted in order, so later ones lie on top. x grows to the right, y
downwards, and an object fills roughly [-1, 1] on both axes. The role says which palette colour paints the
part: colours are drawn elsewhere and never depend on the class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

BODY, SECOND, DETAIL, ACCENT = 0, 1, 2, 3
ROLES = 4

Part = tuple[int, np.ndarray]


def _polygon(*points: Sequence[float]) -> np.ndarray:
    return np.array(points, dtype=np.float64)


def _box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return _polygon((left, top), (right, top), (right, bottom), (left, bottom))


def _oval(x: float, y: float, radius_x: float, radius_y: float, corners: int = 20) -> np.ndarray:
    angle = np.arange(corners) * (2 * np.pi / corners)
    return np.stack([x + radius_x * np.cos(angle), y + radius_y * np.sin(angle)], axis=1)


def _boat(rng: np.random.Generator) -> list[Part]:
    deck, keel = rng.uniform(0.2, 0.32), rng.uniform(0.75, 0.9)
    bow, mast = rng.uniform(0.45, 0.75), rng.uniform(-0.15, 0.15)
    fore, aft, boom, right = mast + 0.05, mast - 0.05, deck - 0.1, rng.uniform(0.75, 0.95)
    parts = [
        (ACCENT, _box(aft, -1.0, fore, deck)),
        (SECOND, _polygon((fore, -0.95), (right, boom), (fore, boom))),
        (BODY, _polygon((-1.0, deck), (1.0, deck), (bow, keel), (-bow - 0.05, keel))),
        (
            DETAIL,
            _polygon((-0.92, boom + 0.2), (0.92, boom + 0.2), (0.85, boom + 0.34), (-0.85, boom + 0.34)),
        ),
    ]
    if rng.random() < 0.75:
        jib = _polygon((aft, -0.75), (rng.uniform(-0.9, -0.65), boom), (aft, boom))
        parts.insert(2, (DETAIL, jib))
    return parts


def _house(rng: np.random.Generator) -> list[Part]:
    eaves, half = rng.uniform(-0.3, -0.05), rng.uniform(0.68, 0.82)
    ridge = rng.choice([0.0, rng.uniform(0.15, 0.4)])
    door = rng.uniform(-0.35, 0.35)
    parts = [
        (BODY, _box(-half, eaves, half, 0.9)),
        (SECOND, _polygon((-half - 0.18, eaves), (-ridge, -1.0), (ridge, -1.0), (half + 0.18, eaves))),
        (ACCENT, _box(door - 0.14, 0.35, door + 0.14, 0.9)),
        (DETAIL, _box(-half + 0.1, eaves + 0.14, -half + 0.42, eaves + 0.46)),
        (DETAIL, _box(half - 0.42, eaves + 0.14, half - 0.1, eaves + 0.46)),
    ]
    if rng.random() < 0.6:
        parts.insert(0, (ACCENT, _box(0.35, -0.95, 0.58, eaves)))
    return parts


def _bird(rng: np.random.Generator) -> list[Part]:
    head_x, head_y = rng.uniform(0.55, 0.66), rng.uniform(-0.36, -0.2)
    tip_x, tip_y = rng.uniform(-0.6, -0.1), rng.uniform(-1.05, -0.85)
    low = rng.uniform(0.45, 0.85)
    beak = head_x + 0.2
    return [
        (SECOND, _polygon((-0.4, 0.0), (-1.1, -0.3), (-1.0, 0.05), (-1.1, 0.3), (-0.4, 0.25))),
        (DETAIL, _polygon((0.3, -0.1), (tip_x + 0.5, tip_y + 0.1), (tip_x + 0.1, tip_y), (-0.35, 0.0))),
        (BODY, _oval(0.0, 0.1, 0.72, 0.36)),
        (BODY, _oval(head_x, head_y, 0.27, 0.27)),
        (ACCENT, _polygon((beak, head_y - 0.12), (beak + 0.34, head_y + 0.05), (beak - 0.02, head_y + 0.15))),
        (ACCENT, _oval(head_x + 0.07, head_y - 0.06, 0.08, 0.08, 8)),
        (SECOND, _polygon((0.25, 0.05), (tip_x - 0.1, low), (tip_x - 0.35, low - 0.12), (-0.35, -0.02))),
    ]


def _fish(rng: np.random.Generator) -> list[Part]:
    height, tail = rng.uniform(0.46, 0.6), rng.uniform(0.38, 0.55)
    along = np.linspace(0.0, 1.0, 12)
    bulge = height * np.sin(np.pi * along**0.8) ** 0.8
    x = 1.0 - 1.6 * along
    body = np.concatenate([np.stack([x, -bulge], 1), np.stack([x, bulge], 1)[::-1]])
    dorsal, belly = height + rng.uniform(0.2, 0.35), height + rng.uniform(0.1, 0.25)
    parts = [
        (SECOND, _polygon((-0.4, 0.0), (-1.05, -tail), (-0.85, 0.0), (-1.05, tail))),
        (SECOND, _polygon((0.4, -height * 0.7), (0.0, -dorsal), (-0.35, -height * 0.5))),
        (SECOND, _polygon((0.2, height * 0.7), (-0.15, belly), (-0.25, height * 0.6))),
        (BODY, body),
        (ACCENT, _oval(0.66, -0.1, 0.09, 0.09, 8)),
    ]
    for bar in np.linspace(0.3, -0.3, int(rng.integers(1, 4))):
        parts.append((DETAIL, _box(bar, -height * 0.8, bar + 0.14, height * 0.8)))
    return parts


def _tree(rng: np.random.Generator) -> list[Part]:
    width = rng.uniform(0.12, 0.2)
    parts: list[Part] = [(ACCENT, _box(-width, 0.1, width, 1.0))]
    if rng.random() < 0.5:
        for tier in range(3):
            top, half = -1.0 + 0.42 * tier, 0.5 + 0.16 * tier
            role = SECOND if tier == 1 else BODY
            parts.append((role, _polygon((0.0, top), (half, top + 0.72), (-half, top + 0.72))))
    else:
        for x, y in ((-0.42, -0.1), (0.42, -0.1), (0.0, -0.5)):
            radius = rng.uniform(0.42, 0.5)
            parts.append((BODY, _oval(x, y, radius, radius)))
        parts.append((SECOND, _oval(rng.uniform(-0.2, 0.2), -0.55, 0.3, 0.24)))
    for _ in range(int(rng.integers(3, 6))):
        parts.append((DETAIL, _oval(rng.uniform(-0.4, 0.4), rng.uniform(-0.4, 0.2), 0.1, 0.1, 8)))
    return parts


def _car(rng: np.random.Generator) -> list[Part]:
    roof, waist = rng.uniform(-0.65, -0.5), rng.uniform(-0.08, 0.02)
    front, back = rng.uniform(0.3, 0.45), rng.uniform(-0.7, -0.5)
    pillar = (front + back) / 2
    glass = (roof + 0.1, waist - 0.02)
    parts = [
        (BODY, _polygon((back - 0.25, waist), (back, roof), (front, roof), (front + 0.3, waist))),
        (BODY, _polygon((-1.0, waist), (0.85, waist), (1.0, waist + 0.2), (1.0, 0.45), (-1.0, 0.45))),
        (DETAIL, _polygon((back - 0.1, glass[1]), (back + 0.04, glass[0]), (pillar - 0.05, glass[0]),
                          (pillar - 0.05, glass[1]))),
        (DETAIL, _polygon((pillar + 0.05, glass[1]), (pillar + 0.05, glass[0]), (front - 0.02, glass[0]),
                          (front + 0.16, glass[1]))),
        (SECOND, _box(-1.0, 0.26, 1.0, 0.45)),
    ]  # fmt: skip
    for x in (-0.55, 0.55):
        parts.append((ACCENT, _oval(x, 0.47, 0.27, 0.27)))
        parts.append((SECOND, _oval(x, 0.47, 0.11, 0.11, 8)))
    return parts


BUILDERS: tuple[Callable[[np.random.Generator], list[Part]], ...] = (_boat, _house, _bird, _fish, _tree, _car)


def _paint(parts: list[Part], transform: np.ndarray, size: int) -> np.ndarray:
    """(size, size) uint8: 0 outside the object, else 1 + the role of the part on top."""
    canvas = Image.new("L", (size, size), 0)
    pen = ImageDraw.Draw(canvas)
    for role, points in parts:
        pen.polygon((points @ transform[:, :2].T + transform[:, 2]).ravel().tolist(), fill=1 + role)
    return np.asarray(canvas)


def _placed(turned: np.ndarray, scale: float, size: int, where: np.ndarray) -> np.ndarray:
    """Offset in pixels of an object with the corners `turned`; `where` in [0, 1]^2 picks a free place."""
    low, high = turned.min(axis=0) * scale, turned.max(axis=0) * scale
    return -low + where * (size - (high - low))


def draw_object(rng: np.random.Generator, label: int, size: int) -> np.ndarray:
    """(size, size) uint8 map of one object in a random pose: 0 outside, else 1 + the role of the part.

    The object is turned by up to 15 degrees, mirrored, slightly sheared and squeezed, scaled to cover a share
    of the frame drawn from [0.24, 0.48] (less where it would stick out by more than a tenth), and moved.
    """
    parts = BUILDERS[label](rng)
    angle = rng.uniform(-np.pi / 12, np.pi / 12)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    mirror = 1.0 if rng.random() < 0.5 else -1.0
    squeeze = rng.uniform(0.88, 1.14)
    pose = turn @ np.array([[mirror * squeeze, rng.uniform(-0.12, 0.12)], [0.0, 1.0 / squeeze]])
    share, where = rng.uniform(0.24, 0.48), rng.uniform(0.0, 1.0, 2)

    turned = np.concatenate([points for _, points in parts]) @ pose.T
    unit = size / 3.2
    covered = np.mean(_paint(parts, np.column_stack([unit * pose, [size / 2, size / 2]]), size) > 0)
    extent = float((turned.max(axis=0) - turned.min(axis=0)).max())
    scale = min(unit * float(np.sqrt(share / covered)), 1.1 * size / extent)
    return _paint(parts, np.column_stack([scale * pose, _placed(turned, scale, size, where)]), size)
