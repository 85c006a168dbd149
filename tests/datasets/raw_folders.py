"""Small raw data sets, and a project's folder that holds them all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from dualperturb.datasets.segment6_layout import CLASS_NAMES

ROOT = Path(__file__).resolve().parents[2]
COCO_IDS = (7, 16, 17, 18, 70, 85)
OBJECTS = 60
CIFAR_NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
CIFAR_LABELS = ((6, 9, 9), (1, 1, 2), (7, 8, 3), (4, 7, 7), (0, 2, 9), (3, 8, 8))  # of each file, in order


def noise(seed: int, side: int, channels: int = 3) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, channels), np.uint8))


def segment6(raw: Path) -> None:
    rows = ["file,label,partition"]
    for kind in ("images", "masks"):
        (raw / kind).mkdir(parents=True)
    for split in ("train", "test"):
        for seed, name in enumerate(CLASS_NAMES):
            noise(seed, 32).save(raw / "images" / f"{split}_{name}.jpg")
            noise(seed, 32).convert("1", dither=Image.Dither.NONE).save(raw / "masks" / f"{split}_{name}.png")
            rows.append(f"{split}_{name}.jpg,{name},{split}")
    (raw / "partitions.csv").write_text("\n".join(rows) + "\n")


def stl10(raw: Path) -> None:
    raw.mkdir(parents=True)
    for split in ("train", "test"):
        (raw / f"{split}_X.bin").write_bytes(bytes(3 * 27648))
        (raw / f"{split}_y.bin").write_bytes(bytes([1, 2, 10]))
    (raw / "class_names.txt").write_text("\n".join("abcdefghij"))


def cifar10(raw: Path) -> None:
    """Three images of noise a file."""
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    for name, labels in zip(names, CIFAR_LABELS, strict=True):
        (raw / name).write_bytes(b"".join(bytes([label]) + rng.bytes(3072) for label in labels))
    (raw / "batches.meta.txt").write_text("\n".join(CIFAR_NAMES) + "\n\n")


def coco(folder: Path) -> None:
    """An image a split, with OBJECTS dogs."""
    (folder / "annotations").mkdir(parents=True)
    categories = [{"id": number, "name": name} for number, name in zip(COCO_IDS, CLASS_NAMES, strict=True)]
    for number, subset in enumerate(("train2017", "val2017"), start=1):
        (folder / subset).mkdir()
        noise(number, 128).save(folder / subset / "dogs.jpg")
        dogs = [
            {
                **{"id": 1000 * number + index, "image_id": number, "category_id": 18, "iscrowd": 0},
                **{"area": 900, "segmentation": [[index, 2, index + 40, 2, index + 40, 60, index, 60]]},
            }
            for index in range(OBJECTS)
        ]
        image = {"id": number, "file_name": "dogs.jpg", "height": 128, "width": 128}
        content = {"images": [image], "annotations": dogs, "categories": categories}
        (folder / "annotations" / f"instances_{subset}.json").write_text(json.dumps(content))


def marks(folder: Path) -> None:
    folder.mkdir(parents=True)
    content = {str(index): {"cat_0": [[1, 1]]} for index in range(OBJECTS)}
    (folder / "stl10_train_cat.json").write_text(json.dumps(content))


def project(folder: Path) -> Path:
    """A project's folder with everything that a command here reads."""
    segment6(folder / "data" / "raw" / "segment6")
    stl10(folder / "data" / "raw" / "stl10")
    coco(folder / "coco")
    marks(folder / "marks")
    shutil.copy(ROOT / "params.yaml", folder / "params.yaml")
    return folder
