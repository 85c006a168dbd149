"""Segment-6 rebuilt from MS-COCO 2017: train from train2017, test from val2017, in the published layout.

An object is cut out with the smallest box around its own mask, resized (bicubic, in its own proportions) so
that its longer side is 32 pixels, and put in the middle of a 32x32 image that is black elsewhere. Its mask is
treated alike: a pixel is foreground where the mask covers half of it or more. It is not known which objects
the published set chose.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from dualperturb.core.images import SPLITS
from dualperturb.datasets.raw.coco import Annotations, CocoImage, Instance, foreground, read_annotations
from dualperturb.datasets.raw.placing import FileProgress
from dualperturb.datasets.segment6_layout import CLASS_NAMES, IMAGES, MANIFEST, MASKS, SIDE, TABLE
from dualperturb.errors import UserError
from dualperturb.files import entries, refuse_special, replacing

_COCO_IDS = dict(zip((7, 16, 17, 18, 70, 85), CLASS_NAMES, strict=True))
_SUBSETS = dict(zip(SPLITS, ("train2017", "val2017"), strict=True))
_KEPT = "README.md"


@dataclass(frozen=True)
class Built:
    """The number of images written, by split and class name, and the instances passed over, by split.

    passed_over: annotation ids whose mask covers no pixel of the 32x32 image.
    """

    counts: dict[str, dict[str, int]]
    passed_over: dict[str, list[int]]


@dataclass(frozen=True)
class _Row:
    file: str
    label: str
    partition: str
    annotation_id: int
    image_id: int


def build(
    coco: Path,
    out: Path,
    per_class: dict[str, int],
    seed: int,
    min_area: float,
    progress: FileProgress | None,
) -> Built:
    """Write the data set to the folder `out` and return its numbers; a class with fewer instances gives all.

    coco: holds annotations/instances_{train,val}2017.json, train2017/, val2017/. per_class: images per class,
    by split. min_area: pixels of the smallest instance taken. The choice depends on `seed`, the annotation
    files and these numbers alone. `out` appears whole or not at all; an earlier build is replaced.
    Raises UserError for an `out` with files of the user's own and for whatever is wrong in the COCO folder.
    """
    _check_pycocotools()
    _check_out(out)
    entries(coco, "accepted for --coco: a folder that holds annotations/, train2017/ and val2017/")
    found = {split: read_annotations(_annotation_file(coco, split), _COCO_IDS, min_area) for split in SPLITS}
    _check_disjoint(found)
    candidates = list(_candidates(found, seed))
    total = sum(min(per_class[split], len(instances)) for split, _, instances in candidates)
    if not total:
        raise UserError(f"--coco {coco}: no object of the six classes covers {min_area:g} pixels or more")
    rows: list[_Row] = []
    passed_over: dict[str, list[int]] = {split: [] for split in SPLITS}
    with replacing(out) as folder:
        for name in (IMAGES, MASKS):
            (folder / name).mkdir(parents=True)
        for split, label, instances in candidates:
            pairs = _pairs(coco, split, instances, found[split].images, passed_over[split])
            for instance, pair in islice(pairs, per_class[split]):
                rows.append(_save(folder, pair, instance, label, split))
                if progress is not None:
                    progress(len(rows), total)
        _write_tables(folder, rows)
        if (out / _KEPT).is_file():
            shutil.copy2(out / _KEPT, folder / _KEPT)
    return Built(_counts(rows), passed_over)


def _annotation_file(coco: Path, split: str) -> Path:
    return coco / "annotations" / f"instances_{_SUBSETS[split]}.json"


def _check_pycocotools() -> None:
    if find_spec("pycocotools") is None:
        raise UserError("pycocotools: not installed, COCO's masks need it; pip install -e '.[coco]'")


def _check_out(out: Path) -> None:
    known = {_KEPT, IMAGES, MASKS, TABLE, MANIFEST}
    there = entries(out, "accepted for --out: a folder, or a free name") if os.path.exists(out) else []
    present = {entry.name for entry in there}
    if present - known or (present - {_KEPT} and MANIFEST not in present):
        raise UserError(
            f"--out {out}: holds {min(present - {_KEPT})} and is no earlier build; accepted: an empty folder"
        )


def _check_disjoint(found: dict[str, Annotations]) -> None:
    shared = found["train"].images.keys() & found["test"].images.keys()
    if shared:
        raise UserError(
            f"image {min(shared)}: listed in both train2017 and val2017; accepted: an image in one of the two"
        )


def _candidates(found: dict[str, Annotations], seed: int) -> Iterator[tuple[str, str, list[Instance]]]:
    """(split, class name, its instances in the order in which they are taken)."""
    for place, split in enumerate(SPLITS):
        for number, label in _COCO_IDS.items():
            instances = [one for one in found[split].instances if one.category_id == number]
            order = np.random.default_rng((seed, place, number)).permutation(len(instances))
            yield split, label, [instances[index] for index in order]


def _pairs(
    coco: Path, split: str, instances: list[Instance], images: dict[int, CocoImage], passed_over: list[int]
) -> Iterator[tuple[Instance, tuple[Image.Image, Image.Image]]]:
    for instance in instances:
        image = images[instance.image_id]
        pixels = _decoded(coco / _SUBSETS[split] / image.file_name, instance, image)
        try:
            mask = foreground(instance, image)
        except UserError as error:
            raise UserError(f"{_annotation_file(coco, split)}: {error}") from None
        pair = _crop(pixels, mask)
        if pair is None:
            passed_over.append(instance.id)
        else:
            yield instance, pair


def _crop(pixels: Image.Image, mask: np.ndarray) -> tuple[Image.Image, Image.Image] | None:
    """The object and its mask, both 32x32, or None where no pixel of the small mask would be foreground."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    shape = Image.fromarray(mask.astype(np.uint8) * 255)
    small = _fitted(shape, box, Image.Resampling.BOX).point([0] * 128 + [255] * 128)
    return (_fitted(pixels, box, Image.Resampling.BICUBIC), small) if small.getbbox() else None


def _decoded(path: Path, instance: Instance, expected: CocoImage) -> Image.Image:
    """The pixels as they are stored: COCO's masks are drawn on these, whatever the EXIF orientation says."""
    try:
        refuse_special(path)
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            pixels = image.convert("RGB")
    except FileNotFoundError:
        raise UserError(f"{path}: not found; annotation {instance.id} is drawn on it") from None
    except Exception as error:  # a damaged file makes Pillow's decoders raise almost any exception
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: unreadable image ({reason}); unpack COCO's archive again") from None
    if pixels.size != (expected.width, expected.height):
        found = "x".join(map(str, pixels.size))
        raise UserError(
            f"{path}: {found} pixels; accepted: {expected.width}x{expected.height}, as its annotations say"
        )
    return pixels


def _fitted(image: Image.Image, box: tuple[int, int, int, int], filter_: Image.Resampling) -> Image.Image:
    cut = image.crop(box)
    scale = SIDE / max(cut.size)
    width, height = (max(1, round(side * scale)) for side in cut.size)
    square = Image.new(image.mode, (SIDE, SIDE))
    square.paste(cut.resize((width, height), filter_), ((SIDE - width) // 2, (SIDE - height) // 2))
    return square


def _save(
    folder: Path, pair: tuple[Image.Image, Image.Image], instance: Instance, label: str, split: str
) -> _Row:
    name = f"{split}_{instance.id:012d}.png"
    for kind, image in zip((IMAGES, MASKS), pair, strict=True):
        image.save(folder / kind / name)
    return _Row(name, label, split, instance.id, instance.image_id)


def _write_tables(folder: Path, rows: list[_Row]) -> None:
    for name, columns in (
        (TABLE, ("file", "label", "partition")),
        (MANIFEST, ("file", "annotation_id", "image_id")),
    ):
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows([getattr(row, column) for column in columns] for row in rows)


def _counts(rows: list[_Row]) -> dict[str, dict[str, int]]:
    counts = {split: dict.fromkeys(CLASS_NAMES, 0) for split in SPLITS}
    for row in rows:
        counts[row.partition][row.label] += 1
    return counts
