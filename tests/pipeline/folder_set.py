"""A data set `folder` of a few photographs of noise, and a tiny setting for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.pipeline.workspace import TINY

CLASSES = {"heron": 90, "newt": 160}  # name, mean grey level
COUNTS = {"train": 6, "val": 4}

TINY_FOLDER: dict[str, Any] = {
    **{
        key.replace("shapes6", "folder", 1): value
        for key, value in TINY.items()
        if key.startswith(("shapes6.train.", "shapes6.evaluate."))
    },
    "folder.data.resize": 36,
    "folder.data.side": 32,
    "folder.train.classifier.architecture": "small_resnet",
    "folder.train.classifier.weights": "none",
    "folder.train.optimiser.batch_size": 6,
    "folder.train.augment.pad": 2,
    "folder.evaluate.n": 4,
}


def write_photos(root: Path) -> None:
    """root/train/CLASS/N.png and root/val/CLASS/N.png, 48x40 pixels."""
    rng = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for name, level in CLASSES.items():
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.normal(level, 40, (40, 48, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
