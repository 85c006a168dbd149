"""A data set `stl10` of a few images of noise, in the layout of its official files."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_stl10(root: Path) -> None:
    """Ten images, one of each class, in both splits."""
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        (root / f"{split}_X.bin").write_bytes(rng.bytes(10 * 3 * 96 * 96))
        (root / f"{split}_y.bin").write_bytes(bytes(range(1, 11)))
    (root / "class_names.txt").write_text("".join(f"class{label}\n" for label in range(10)))
