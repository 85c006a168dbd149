"""The batches that a classifier is trained on: shuffled, augmented, on its device before they are needed.

Images stay uint8 up to the batch that is learnt from. A GPU holds the whole split where that leaves room
enough; otherwise a thread gathers the next batch on the host while the GPU works on this one. On a CPU a
batch is gathered when it is asked for, from files that may be larger than the memory; meanwhile the disk
is asked for the one after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from dualperturb.core.devices import ranks
from dualperturb.core.images import ImageSet
from dualperturb.training.augmentation import augment, draw_moves
from dualperturb.training.prefetch import prefetch

if TYPE_CHECKING:
    from dualperturb.params.training import Augment

RESIDENT_SHARE = 0.5  # of a GPU's free memory; the rest is for the classifier and the attack
UPLOADED = 1024  # images sent at once, so that the host never holds a second copy of them all


class TrainingBatch(NamedTuple):
    """This rank's part of a batch, on the classifier's device.

    images: float32 (N, 3, H, W) in [0, 1]; labels: int64 (N,); foreground: bool (N, 1, H, W); seeds: one per
    image; share: this part's size as a fraction of the whole batch.
    """

    images: Tensor
    labels: Tensor
    foreground: Tensor
    seeds: list[int]
    share: float


class Drawn(NamedTuple):
    """The random choices for this rank's part of a batch: which images, their moves and their seeds."""

    chosen: np.ndarray
    moves: np.ndarray
    seeds: np.ndarray
    share: float


Arrays = tuple[np.ndarray, ...]  # each with one row per image
Supplied = Iterator[tuple[Drawn, list[Tensor]]]  # of each array the chosen rows, on the device
Supply = Callable[[Iterable[Drawn]], Supplied]


class Batches:
    """The batches of a training split, epoch by epoch; all random choices come from (seed, epoch).

    foreground: bool (N, 1, H, W), moved along with the images. device: where the classifier is; if the split
    fits into a GPU's memory, it is copied there when this object is made.
    """

    def __init__(
        self,
        data: ImageSet,
        foreground: np.ndarray,
        augmentation: Augment,
        batch_size: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self._augmentation, self._seed, self._device, self._count = augmentation, seed, device, len(data)
        # A single image left over joins the batch before. No image is to be left out of an epoch, and alone,
        # with a feature map of a single pixel, it would give BatchNorm no deviation.
        self._starts = [0, *range(batch_size, len(data) - 1, batch_size)]
        arrays = (data.images, data.labels, foreground)
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0
        self._supply = way(sum(array.nbytes for array in arrays), device, free)(arrays, device)

    def __len__(self) -> int:
        return len(self._starts)

    def epoch(self, number: int) -> Iterator[TrainingBatch]:
        """This rank's part of each batch of one epoch, from 0."""
        for drawn, (images, labels, foreground) in self._supply(self._drawn(number)):
            moves = _sent(torch.from_numpy(drawn.moves), self._device)
            images, foreground = augment(images, foreground, self._augmentation, moves)
            yield TrainingBatch(
                images.float().div_(255), labels, foreground, drawn.seeds.tolist(), drawn.share
            )

    def _drawn(self, epoch: int) -> Iterator[Drawn]:
        """Drawn for whole batches, so that an image's random choices do not depend on the number of ranks."""
        random = np.random.default_rng([self._seed, epoch])
        for batch in np.split(random.permutation(self._count), self._starts[1:]):
            moves = draw_moves(len(batch), self._augmentation, random)
            seeds = random.integers(0, 2**62, len(batch))
            part, share = ranks.part(len(batch))
            yield Drawn(batch[part], moves[:, part], seeds[part], share)


def way(size: int, device: torch.device, free: int) -> Callable[[Arrays, torch.device], Supply]:
    """How `size` bytes of images, labels and masks reach a device with `free` bytes of free memory."""
    if device.type != "cuda":
        return when_asked
    return resident if size <= RESIDENT_SHARE * free else ahead


def when_asked(arrays: Arrays, device: torch.device) -> Supply:
    """Rows are gathered on the host when their batch is asked for."""

    def supply(draws: Iterable[Drawn]) -> Supplied:
        for drawn in _fetched_ahead(draws, arrays):
            yield drawn, [torch.from_numpy(array[drawn.chosen]).to(device) for array in arrays]

    return supply


def resident(arrays: Arrays, device: torch.device) -> Supply:
    """Arrays are on the device from the start, and rows are gathered there."""
    held = [_uploaded(array, device) for array in arrays]

    def supply(draws: Iterable[Drawn]) -> Supplied:
        for drawn in draws:
            chosen = _sent(torch.from_numpy(drawn.chosen), device)
            yield drawn, [rows.index_select(0, chosen) for rows in held]

    return supply


def ahead(arrays: Arrays, device: torch.device) -> Supply:
    """Rows are gathered by a thread, one batch ahead, in memory from which a GPU copies without waiting."""

    def supply(draws: Iterable[Drawn]) -> Supplied:
        with ThreadPoolExecutor(1, "batches") as thread:
            waiting: list[tuple[Drawn, Future[list[Tensor]]]] = []
            for drawn in _fetched_ahead(draws, arrays):
                waiting.append((drawn, thread.submit(_gathered, arrays, drawn.chosen, device.type == "cuda")))
                if len(waiting) > 1:
                    yield _arrived(*waiting.pop(0), device)
            for each in waiting:
                yield _arrived(*each, device)

    return supply


def _fetched_ahead(draws: Iterable[Drawn], arrays: Arrays) -> Iterator[Drawn]:
    """The same draws, each as soon as the disk has been asked for the rows of the next one, too."""
    before: Drawn | None = None
    for drawn in draws:
        for array in arrays:
            prefetch(array, drawn.chosen)
        if before is not None:
            yield before
        before = drawn
    if before is not None:
        yield before


def _arrived(drawn: Drawn, coming: Future[list[Tensor]], device: torch.device) -> tuple[Drawn, list[Tensor]]:
    return drawn, [rows.to(device, non_blocking=True) for rows in coming.result()]


def _gathered(arrays: Arrays, chosen: np.ndarray, pinned: bool) -> list[Tensor]:
    """The chosen rows, by NumPy alone, which releases the interpreter's lock, as torch's threads are busy."""
    gathered = []
    for array in arrays:
        rows = torch.empty((len(chosen), *array.shape[1:]), dtype=_kind(array), pin_memory=pinned)
        # With the other modes NumPy writes into a buffer of its own first; no index is out of range.
        np.take(array, chosen, axis=0, out=rows.numpy(), mode="clip")
        gathered.append(rows)
    return gathered


def _uploaded(array: np.ndarray, device: torch.device) -> Tensor:
    held = torch.empty(array.shape, dtype=_kind(array), device=device)
    for first in range(0, len(array), UPLOADED):
        part = slice(first, first + UPLOADED)
        held[part] = torch.from_numpy(np.array(array[part]))
    return held


def _kind(array: np.ndarray) -> torch.dtype:
    return torch.from_numpy(np.empty(0, array.dtype)).dtype


def _sent(values: Tensor, device: torch.device) -> Tensor:
    """The values on the device, without waiting for it."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)
