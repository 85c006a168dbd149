"""A data set `folder` of a few photographs of noise, and a tiny setting for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLASSES = {"heron": 90, "newt": 160}  # name, mean grey level
COUNTS = {"train": 6, "val": 4}

TINY_FOLDER: dict[str, Any] = {
    "data.folder.resize": 36,
    "data.folder.side": 32,
    "train.folder.classifier.architecture": "small_resnet",
    "train.folder.classifier.weights": "none",
    "train.folder.optimiser.batch_size": 6,
    "train.folder.augment.pad": 2,
    "train.folder.clean.epochs": 1,
    "train.folder.at_pgd.epochs": 1,
    "train.folder.at_pgd.steps": 1,
    "train.folder.at_dual.epochs": 1,
    "train.folder.at_dual.steps": 1,
    "evaluate.folder.n": 4,
    "evaluate.folder.steps": 1,
    "evaluate.folder.grid.L2.eps_f": [0, 2],
    "evaluate.folder.grid.L2.eps_b": [0, 20],
    "evaluate.folder.grid.L2.eps": [0, 2],
    "evaluate.folder.salience_weights": [0, 1],
    "evaluate.folder.examples": [0, 1],
    "evaluate.folder.jsma.share": 0.005,
    "evaluate.folder.strong.steps": 2,
    "evaluate.folder.strong.square_queries": 2,
    "evaluate.folder.smoothing.n0": 5,
    "evaluate.folder.smoothing.samples": 20,
    "train.folder.smoothing.epochs": 1,
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
