"""Masks and log densities of a whole split, written batch by batch into memory-mapped files.

Layout of a masks folder, for each split: SPLIT.foreground.npy, bool (N, 1, H, W), and
SPLIT.log_density.npy, float16 (N, H, W).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.lib.format import open_memmap

from dualperturb.core.images import ImageSet
from dualperturb.core.memory import BatchSize, Portions, first_size
from dualperturb.mask_summary import summarise
from dualperturb.saliency import SaliencyModel, foreground_mask, foreground_score


class OwnMasks(Protocol):
    """An array, or what is read from files as it is sliced: bool (n, 1, H, W) for n images."""

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
    """Write one split's masks and densities; return its summary (see `mask_summary.summarise`).

    own: the masks to use, bool (N, 1, H, W), read slice by slice; if there are none, the model's log density
    or density is thresholded, as `threshold` says ("log" or "density").
    batch_size: images at a time, fewer once memory has run out.
    progress: called with the images done and the images in all.
    """
    count, side = len(data), data.side
    folder.mkdir(parents=True, exist_ok=True)
    # Opened in place: the caller hands in a temporary folder.
    masks = open_memmap(folder / f"{split}.foreground.npy", "w+", np.bool_, (count, 1, side, side))
    densities = open_memmap(folder / f"{split}.log_density.npy", "w+", np.float16, (count, side, side))
    scores = np.empty(count)

    def write(part: slice) -> None:
        images = torch.from_numpy(np.array(data.images[part])).to(device).float() / 255
        with torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
            log_density = saliency(images).float()
        if own is None:
            mask = foreground_mask(log_density, threshold)
        else:
            mask = torch.from_numpy(np.array(own[part])).to(device)
        masks[part], densities[part] = mask.cpu().numpy(), log_density.cpu().numpy().astype(np.float16)
        scores[part] = foreground_score(log_density, mask).cpu().numpy()
        progress(part.stop, count)

    Portions().run(write, count, first_size(batch_size, device, side))
    return summarise(masks, scores)
