"""The reader of MS-COCO's instance annotations, one JSON file per split, and of their masks.

The file is parsed once, and each annotation is reduced or dropped the moment it has been parsed: the 470 MB
of train2017 then need little more memory than their text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dualperturb.errors import UserError
from dualperturb.files import refuse_special

_KEYS = ("id", "image_id", "category_id", "segmentation", "area", "iscrowd")


@dataclass(frozen=True, slots=True)
class CocoImage:
    """An image that annotations were drawn on, with its size in pixels."""

    id: int
    file_name: str
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Instance:
    """One object. segmentation: polygons (x, y, x, y, ...) or run lengths, as COCO writes them."""

    id: int
    image_id: int
    category_id: int
    segmentation: Any


@dataclass(frozen=True)
class Annotations:
    """instances: in the order of their ids; images: by id."""

    instances: tuple[Instance, ...]
    images: dict[int, CocoImage]


def read_annotations(path: Path, categories: Mapping[int, str], min_area: float) -> Annotations:
    """The instances of the given categories that are no crowd and cover at least `min_area` pixels.

    categories: id to name; an annotation file that names them otherwise is refused.
    Raises UserError for a file that is absent, cut off or of another kind, for an id that occurs twice and
    for an instance whose image is not listed.
    """
    kept = _parse(path, categories, min_area)
    found = {entry.get("id"): entry.get("name") for entry in kept["categories"] if isinstance(entry, dict)}
    for number, name in categories.items():
        if found.get(number) != name:
            raise UserError(
                f"{path}: category {number} is {found.get(number)}; accepted: {name}, as in COCO 2017"
            )
    instances = [entry for entry in kept["annotations"] if isinstance(entry, Instance)]
    instances.sort(key=lambda instance: instance.id)
    for first, second in zip(instances, instances[1:], strict=False):
        if first.id == second.id:
            raise UserError(f"{path}: annotation {first.id} occurs twice; accepted: each id once")
    images = {image.id: image for image in kept["images"] if isinstance(image, CocoImage)}
    for instance in instances:
        if instance.image_id not in images:
            raise UserError(
                f"{path}: annotation {instance.id}: its image {instance.image_id} is not in the images' list"
            )
    return Annotations(tuple(instances), images)


def foreground(instance: Instance, image: CocoImage) -> np.ndarray:
    """The instance's mask: bool (image.height, image.width).

    Raises UserError for run lengths of another size than the image's and for a form that COCO does not use.
    """
    pixels = image.height * image.width
    runs = _runs(instance, image)
    # Checked here: pycocotools leaves the rest of a mask uninitialised where the runs end early.
    if runs.ndim != 1 or (runs < 0).any() or (runs > pixels).any() or int(runs.sum()) != pixels:
        raise UserError(
            f"annotation {instance.id}: its run lengths are not those of {image.height}x{image.width} pixels"
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(image.width, image.height).T


def _parse(path: Path, categories: Mapping[int, str], min_area: float) -> dict[str, list[Any]]:
    def reduce(entry: dict[str, Any]) -> Any:
        if "category_id" in entry:
            return _instance(entry, path, categories, min_area)
        return _image(entry, path) if "file_name" in entry else entry

    try:
        refuse_special(path)
        with path.open(encoding="utf-8") as file:
            kept = json.load(file, object_hook=reduce)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; accepted: COCO's instance annotations") from None
    except UserError:
        raise
    except (ValueError, RecursionError) as error:  # the errors of JSON and of UTF-8 are ValueErrors
        raise UserError(f"{path}: no whole JSON file ({error}); unpack COCO's archive again") from None
    sections = ("images", "annotations", "categories")
    if not isinstance(kept, dict) or any(not isinstance(kept.get(name), list) for name in sections):
        raise UserError(f"{path}: lacks one of the lists {', '.join(sections)}; accepted: COCO's annotations")
    return kept


def _instance(
    entry: dict[str, Any], path: Path, categories: Mapping[int, str], min_area: float
) -> Instance | None:
    for key in _KEYS:
        if key not in entry:
            raise UserError(f"{path}: annotation {entry.get('id', 'without id')} lacks {key}")
    try:
        wanted = (
            entry["category_id"] in categories and not entry["iscrowd"] and float(entry["area"]) >= min_area
        )
        if not wanted:
            return None
        return Instance(int(entry["id"]), int(entry["image_id"]), entry["category_id"], entry["segmentation"])
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{path}: annotation {entry['id']}: id, image_id or area is no number") from None


def _image(entry: dict[str, Any], path: Path) -> CocoImage:
    try:
        return CocoImage(int(entry["id"]), str(entry["file_name"]), int(entry["height"]), int(entry["width"]))
    except (KeyError, TypeError, ValueError, OverflowError):
        raise UserError(f"{path}: image {entry['file_name']} lacks its id, height or width") from None


def _runs(instance: Instance, image: CocoImage) -> np.ndarray:
    """Run lengths down the columns, int64, of background and foreground in turn; not yet checked."""
    segmentation = instance.segmentation
    if isinstance(segmentation, list):
        segmentation = _filled(segmentation, instance, image)
    try:
        size, counts = list(segmentation["size"]), segmentation["counts"]
        runs = np.asarray(_unpacked(counts) if isinstance(counts, str) else counts, dtype=np.int64)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise UserError(f"annotation {instance.id}: its segmentation is no polygons or run lengths") from None
    if size != [image.height, image.width]:
        raise UserError(
            f"annotation {instance.id}: run lengths of size {size}, "
            f"its image {image.file_name} is [{image.height}, {image.width}]"
        )
    return runs


def _filled(polygons: list[Any], instance: Instance, image: CocoImage) -> dict[str, Any]:
    """The union of the polygons as compressed run lengths."""
    from pycocotools import mask

    for polygon in polygons:
        try:
            corners = np.asarray(polygon, dtype=np.float64)
        except (TypeError, ValueError):
            corners = np.zeros(0)
        if corners.ndim != 1 or len(corners) < 6 or len(corners) % 2 or not np.isfinite(corners).all():
            raise UserError(f"annotation {instance.id}: a polygon is no list of three or more x, y pairs")
    if not polygons:
        raise UserError(f"annotation {instance.id}: no polygon; accepted: at least one")
    union = mask.merge(mask.frPyObjects(polygons, image.height, image.width))
    return {"size": union["size"], "counts": union["counts"].decode("ascii")}


def _unpacked(text: str) -> list[int]:
    """Run lengths from COCO's compressed text, which has five bits per character, the lowest first. From the
    fourth run on it holds the difference to the run before last."""
    runs: list[int] = []
    value, shift = 0, 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError("not a character of compressed run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value, shift = 0, 0
    if shift:
        raise ValueError("the text ends within a number")
    return runs
