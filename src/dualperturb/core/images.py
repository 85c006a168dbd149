"""An image set on disk: one memory-mapped uint8 array per split, with labels, class names and optional masks.

Layout of a prepared folder, for each split (`train`, `test`):

    SPLIT.images.npy       uint8 (N, 3, H, W)
    SPLIT.labels.npy       int64 (N,)
    SPLIT.foreground.npy   bool (N, 1, H, W), where the data set brings masks
    SPLIT.names.json       CLASS/FILE of each image, where the images come from files of their own
    meta.json              name, class names, side, source; for each split its counts and SHA-256 checksums
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dualperturb.errors import REMAKE, UserError
from dualperturb.files import sha256, write_json

SPLITS = ("train", "test")
Row = tuple[np.ndarray, int, np.ndarray | None]


@dataclass(frozen=True)
class ImageSet:
    """One split of a data set.

    images: uint8 (N, 3, H, W), RGB; labels: int64 (N,); class_names: one per label;
    foreground: bool (N, 1, H, W), or None where the data set brings no masks.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    foreground: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def side(self) -> int:
        """Height and width of the square images, in pixels."""
        return int(self.images.shape[-1])

    def choose(self, count: int, seed: int) -> np.ndarray:
        """Indices, sorted, of `count` images drawn without replacement: int64 (count,).

        Raises UserError if the split holds fewer: an evaluation never uses fewer images than asked.
        """
        if count > len(self):
            raise UserError(f"n: {count} images asked for, the split holds {len(self)}")
        return np.sort(np.random.default_rng(seed).permutation(len(self))[:count])

    def check_indices(self, indices: np.ndarray, key: str) -> None:
        """Raise UserError, naming `key`, unless every index lies in this split."""
        outside = indices[(indices < 0) | (indices >= len(self))]
        if len(outside):
            raise UserError(
                f"{key}: found {outside[0]}, the split holds {len(self)} images (0 to {len(self) - 1})"
            )


def load_split(folder: Path, split: str) -> ImageSet:
    """Open one split of a prepared folder; images and masks stay on disk until they are read.

    Raises UserError if the folder holds no prepared data set or a file's size is not what `meta.json` says.
    """
    meta = load_meta(folder)
    try:
        expected = meta["splits"][split]["count"]
        images = np.load(folder / f"{split}.images.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(folder / f"{split}.labels.npy", allow_pickle=False)
        masks = folder / f"{split}.foreground.npy"
        foreground = np.load(masks, mmap_mode="r", allow_pickle=False) if masks.exists() else None
    except (OSError, ValueError, EOFError, KeyError, TypeError) as error:
        raise UserError(f"{folder}: split {split} cannot be read ({error}); {REMAKE}") from error
    if not len(images) == len(labels) == expected:
        raise UserError(
            f"{folder}: split {split} holds {len(images)} images and {len(labels)} labels, "
            f"meta.json says {expected}; {REMAKE}"
        )
    if foreground is not None and len(foreground) != expected:
        raise UserError(f"{masks}: {len(foreground)} masks, meta.json says {expected} images; {REMAKE}")
    return ImageSet(images, labels, tuple(meta["class_names"]), foreground)


def load_foreground(folder: Path, split: str) -> np.ndarray:
    """The masks of one split in a masks folder, bool (N, 1, H, W), memory-mapped.

    Raises UserError if they are not there.
    """
    path = folder / f"{split}.foreground.npy"
    try:
        masks: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: cannot be read ({error}); compute the masks first (dvc repro)") from error
    return masks


def load_meta(folder: Path) -> dict[str, Any]:
    """Read a prepared folder's `meta.json`. Raises UserError if it is absent, damaged or of another kind."""
    path = folder / "meta.json"
    try:
        meta: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; prepare the data set first (dvc repro)") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); {REMAKE}") from error
    found = meta if isinstance(meta, dict) else {}
    for key, kind in (("splits", dict), ("class_names", list)):
        if not isinstance(found.get(key), kind):
            raise UserError(f"{path}: lacks {key}; {REMAKE}")
    return meta


def load_names(folder: Path, split: str) -> list[str] | None:
    """CLASS/FILE of each image of a prepared split; None where its images have no files of their own.

    Raises UserError for a damaged list.
    """
    path = folder / f"{split}.names.json"
    if not path.exists():
        return None
    try:
        names: list[str] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); {REMAKE}") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path}: not a list of names; {REMAKE}")
    return names


def write_split(folder: Path, split: str, side: int, rows: Iterable[Row]) -> dict[str, Any]:
    """Write one split from a stream of (image, label, mask or None), never holding more than one row.

    image: uint8 (3, side, side); mask: bool (1, side, side). Either every row brings a mask or none does.
    Returns the split's entry for `meta.json`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    labels: list[int] = []
    images = _GrowingArray(folder / f"{split}.images.npy", np.dtype(np.uint8), (3, side, side))
    masks = _GrowingArray(folder / f"{split}.foreground.npy", np.dtype(np.bool_), (1, side, side))
    with images, masks:
        for image, label, mask in rows:
            images.append(image)
            labels.append(label)
            if mask is not None:
                masks.append(mask)
    if masks.count == 0:
        masks.path.unlink()
    assert masks.count in (0, len(labels)), "masks for some rows only"
    np.save(folder / f"{split}.labels.npy", np.asarray(labels, dtype=np.int64))
    counts = np.bincount(labels) if labels else np.zeros(0, dtype=np.int64)
    files = sorted(folder.glob(f"{split}.*.npy"))
    return {
        "count": len(labels),
        "counts_by_label": [int(count) for count in counts],
        "sha256": {file.name: sha256(file) for file in files},
    }


def write_meta(folder: Path, **meta: Any) -> None:
    """Write `meta.json`: what `load_meta` reads."""
    write_json(folder / "meta.json", meta)


class _GrowingArray:
    """A `.npy` file that rows are appended to; NumPy pads the header so that the final count fits in."""

    def __init__(self, path: Path, dtype: np.dtype, row_shape: tuple[int, ...]) -> None:
        self.path, self.dtype, self.row_shape, self.count = path, dtype, row_shape, 0

    def __enter__(self) -> _GrowingArray:
        self.file = self.path.open("wb")
        self._write_header()
        return self

    def append(self, row: np.ndarray) -> None:
        assert row.shape == self.row_shape and row.dtype == self.dtype, (row.shape, row.dtype)
        self.file.write(np.ascontiguousarray(row).tobytes())
        self.count += 1

    def __exit__(self, *error: object) -> None:
        self.file.seek(0)
        self._write_header()
        self.file.close()

    def _write_header(self) -> None:
        np.lib.format.write_array_header_1_0(
            self.file,
            {
                "descr": np.lib.format.dtype_to_descr(self.dtype),
                "fortran_order": False,
                "shape": (self.count, *self.row_shape),
            },
        )
