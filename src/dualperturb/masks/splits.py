"""Masks and log densities of a whole split, written batch by batch.

Layout of a masks folder, for each split: SPLIT.foreground.npy, bool (N, 1, H, W), and
SPLIT.log_density.npy, float16 (N, H, W).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from dualperturb.core.devices.memory import BatchSize, Portions, first_size
from dualperturb.core.images import ImageSet
from dualperturb.core.score import check_log_density
from dualperturb.masks.summary import summarise
from dualperturb.saliency import SaliencyModel, foreground_mask, foreground_score


class OwnMasks(Protocol):
    """An array, or an object that reads or computes masks when sliced: bool (n, 1, H, W) for n images."""

    def __getitem__(self, part: slice, /) -> np.ndarray: ...


@torch.no_grad()
def write_masks(
    folder: Path,
    split: str,
    data: ImageSet,
    saliency: SaliencyModel,
    *,
    own: OwnMasks | None,
    threshold: str,
    batch_size: BatchSize,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Write one split's masks and densities; return its summary (see `summary.summarise`).

    own: the masks to use, bool (N, 1, H, W), read slice by slice; if None, the model's log density or
    density is thresholded, as `threshold` says ("log" or "density").
    batch_size: images at a time, fewer once memory has run out.
    progress: called with the images done and the images in all.
    Raises UserError where the model's map is no log density, as every foreground score would then be wrong.
    """
    folder.mkdir(parents=True, exist_ok=True)
    waiting: list[_Found] = []

    def work(part: slice) -> None:
        found = _found(part, data, saliency, own, threshold, device)
        # Stored one batch late, so that a GPU computes this batch while the host writes the one before.
        store()
        waiting[:] = [found]

    def store() -> None:
        for found in waiting:
            files.write(found)
            progress(found.part.stop, len(data))

    with _Files(folder, split, len(data), data.side) as files:
        Portions().run(work, len(data), first_size(batch_size, device, data.side))
        store()
    return summarise(files.fractions, files.scores)


class _Found(NamedTuple):
    """The results for a part of the split, on the host; a GPU's are there only once `copied` has happened.

    foreground: bool (n, 1, H, W); pixels: int (n,), how many of them; log_density: float16 (n, H, W);
    scores: (n,).
    """

    part: slice
    copied: torch.cuda.Event | None
    foreground: Tensor
    pixels: Tensor
    log_density: Tensor
    scores: Tensor


def _found(
    part: slice,
    data: ImageSet,
    saliency: SaliencyModel,
    own: OwnMasks | None,
    threshold: str,
    device: torch.device,
) -> _Found:
    on_gpu = device.type == "cuda"
    images = _pixels(data.images[part], device)
    with torch.autocast(device.type, torch.float16, enabled=on_gpu):
        log_density = saliency(images).float()
    mask = foreground_mask(log_density, threshold) if own is None else _sent(own[part], device)
    pixels = mask.flatten(1).sum(1, dtype=torch.int32)
    results = (mask, pixels, log_density.half(), foreground_score(log_density, mask))
    # A GPU copies its results into pinned memory while the host goes on.
    on_host = [values.to("cpu", non_blocking=on_gpu) for values in results]
    copied = torch.cuda.current_stream(device).record_event() if on_gpu else None
    return _Found(part, copied, *on_host)


def _pixels(rows: np.ndarray, device: torch.device) -> Tensor:
    """uint8 to float32 in [0, 1], on the device."""
    if device.type == "cpu":  # in one pass, because two passes take nearly as long as a light saliency model
        return torch.from_numpy(rows.astype(np.float32)).div_(255)
    return _sent(rows, device).float().div_(255)


def _sent(rows: np.ndarray, device: torch.device) -> Tensor:
    """A copy on the device; the call returns before it is complete."""
    kind = torch.from_numpy(np.empty(0, rows.dtype)).dtype
    held = torch.empty(rows.shape, dtype=kind, pin_memory=device.type == "cuda")
    np.copyto(held.numpy(), rows)
    return held.to(device, non_blocking=device.type == "cuda")


class _Files:
    """Both files of a split. A part that is written again replaces what was there.

    fractions, scores: float64 (N,), the foreground's share of each image and its foreground score.
    """

    def __init__(self, folder: Path, split: str, count: int, side: int) -> None:
        self.fractions, self.scores = np.empty(count), np.empty(count)
        # Opened under their final names, because the caller hands in a temporary folder.
        self._masks = _Rows(folder / f"{split}.foreground.npy", np.bool_, (count, 1, side, side))
        self._densities = _Rows(folder / f"{split}.log_density.npy", np.float16, (count, side, side))

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *error: object) -> None:
        self._masks.file.close()
        self._densities.file.close()

    def write(self, found: _Found) -> None:
        if found.copied is not None:
            found.copied.synchronize()
        check_log_density(found.log_density)
        self._masks.write(found.part, found.foreground.numpy())
        self._densities.write(found.part, found.log_density.numpy())
        self.fractions[found.part] = found.pixels.numpy() / found.foreground[0].numel()
        self.scores[found.part] = found.scores.numpy()


class _Rows:
    """A `.npy` file of (N, ...), any of whose rows can be written.

    Not mapped into memory: the kernel would fetch and clear it page by page, which takes four times as long.
    """

    def __init__(self, path: Path, kind: type[np.generic], shape: tuple[int, ...]) -> None:
        self.dtype, self.shape, self.file = np.dtype(kind), shape, path.open("wb")
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.file, header)
        self._first, self._size = self.file.tell(), self.dtype.itemsize * math.prod(shape[1:])

    def write(self, part: slice, rows: np.ndarray) -> None:
        assert rows.dtype == self.dtype and rows.shape[1:] == self.shape[1:], (rows.dtype, rows.shape)
        self.file.seek(self._first + part.start * self._size)
        self.file.write(np.ascontiguousarray(rows).data)
