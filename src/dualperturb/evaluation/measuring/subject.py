"""The subject of a measure: a classifier and test images with their masks, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from dualperturb.core.devices import ranks
from dualperturb.core.devices.memory import BatchSize, Portions, first_size
from dualperturb.core.images import ImageSet
from dualperturb.core.objectives import Saliency
from dualperturb.core.shown import shown
from dualperturb.core.steady import check_mode

T = TypeVar("T")


class Batch(NamedTuple):
    """Some of the images that are measured, on the device.

    indices: int64 (n,), their positions in the test split; images: float32 (n, 3, H, W) in [0, 1];
    labels: int64 (n,); foreground: bool (n, 1, H, W).
    """

    indices: np.ndarray
    images: Tensor
    labels: Tensor
    foreground: Tensor

    def part(self, rows: slice) -> Batch:
        """The batch of the given rows alone."""
        return Batch(self.indices[rows], self.images[rows], self.labels[rows], self.foreground[rows])


@dataclass(frozen=True)
class Subject:
    """A classifier in eval mode and the test images that it is measured on.

    foreground: bool (N, 1, H, W) for the whole split; indices: int64, the images used;
    saliency: gives the foreground score, and its gradient where an attack weighs it; portions: how many
    images fit into memory, as far as that is known. Raises UserError for a classifier in train mode that
    acts differently in that mode.
    """

    model: nn.Module
    data: ImageSet
    foreground: np.ndarray
    indices: np.ndarray
    saliency: Saliency
    device: torch.device
    portions: Portions = field(default_factory=Portions, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_mode(self.model)

    def batches(self, size: BatchSize) -> Iterator[Batch]:
        """The images used, in batches of at most `size`, on the device."""
        return map(self._batch, self._pieces(self._first_size(size)))

    def each(self, size: BatchSize, work: Callable[[Batch], T], copies: int = 1) -> list[T]:
        """The results of `work` for each batch of at most `size` of the images used; see `Portions`.

        copies: how many copies of each image a pass of the classifier holds at once.
        """
        return self.portions.run(
            lambda part: work(self._batch(self.indices[part])),
            len(self.indices),
            self._first_size(size, copies),
        )

    def logits(self, images: Tensor) -> Tensor:
        """The classifier's answers to images (n, 3, H, W), which stay as they are: (n, classes)."""
        return shown(self.model)(images)

    def log_density(self, images: Tensor) -> Tensor:
        """The saliency model's answers to images (n, 3, H, W), which stay as they are: (n, H, W)."""
        return self.saliency(images.clone())

    @torch.no_grad()
    def classes(self, images: Tensor) -> Tensor:
        """The classes that the classifier predicts for images (n, 3, H, W), n at least 1: int64 (n,)."""
        answers = self.portions.run(
            lambda part: self.logits(images[part].to(self.device)).argmax(dim=1), len(images)
        )
        return torch.cat(answers)

    def own_batches(self, size: BatchSize) -> Iterator[tuple[int, Batch]]:
        """This rank's batches, each with its position among the batches of all ranks; there may be none.

        All ranks together have the batches of a process on its own. They are smaller only where there would
        be fewer batches than ranks.
        """
        smaller = max(1, min(self._first_size(size), -(-len(self.indices) // ranks.size())))
        for position, chosen in ranks.mine(self._pieces(smaller)).items():
            yield position, self._batch(chosen)

    def _first_size(self, size: BatchSize, copies: int = 1) -> int:
        return first_size(size, self.device, self.data.side, copies)

    def _pieces(self, size: int) -> list[np.ndarray]:
        return [self.indices[first : first + size] for first in range(0, len(self.indices), size)]

    def _batch(self, chosen: np.ndarray) -> Batch:
        images = torch.from_numpy(self.data.images[chosen]).to(self.device).float() / 255
        labels = torch.from_numpy(self.data.labels[chosen]).to(self.device)
        foreground = torch.from_numpy(self.foreground[chosen]).to(self.device)
        return Batch(chosen, images, labels, foreground)
