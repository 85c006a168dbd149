"""Masks and log densities of a whole split, written batch by batch into memory-mapped files.

Layout of a masks folder, for each split: SPLIT.foreground.npy, bool (N, 1, H, W), and
SPLIT.log_density.npy, float16 (N, H, W).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap

from dualperturb.errors import UserError
from dualperturb.images import ImageSet
from dualperturb.saliency import SaliencyModel, foreground_mask, foreground_score


@torch.no_grad()
def write_masks(
    folder: Path,
    split: str,
    data: ImageSet,
    saliency: SaliencyModel,
    *,
    bring_own: bool,
    threshold: str,
    batch_size: int,
    device: torch.device,
    progress: Callable[[int, int], None],
) -> dict[str, float | int]:
    """Write one split's masks and densities; return its summary: the foreground's share of the
    image, empty and full masks, the foreground score of the clean images.

    bring_own: use the masks that the data set brings, else threshold the model's log density or density,
    as `threshold` says ("log" or "density").
    progress: called with the images done and the images in all.
    Raises UserError if the data set brings no masks but should.
    """
    if bring_own and data.foreground is None:
        raise UserError(
            "masks source: found dataset, but this data set brings no masks; accepted is saliency"
        )
    count, side = len(data), data.side
    folder.mkdir(parents=True, exist_ok=True)
    # Opened in place: the caller hands in a temporary folder.
    masks = open_memmap(folder / f"{split}.foreground.npy", "w+", np.bool_, (count, 1, side, side))
    densities = open_memmap(folder / f"{split}.log_density.npy", "w+", np.float16, (count, side, side))
    scores = np.empty(count)
    for first in range(0, count, batch_size):
        part = slice(first, min(first + batch_size, count))
        log_density = saliency(torch.from_numpy(np.array(data.images[part])).to(device).float() / 255)
        if bring_own:
            assert data.foreground is not None
            mask = torch.from_numpy(np.array(data.foreground[part])).to(device)
        else:
            mask = foreground_mask(log_density, threshold)
        masks[part], densities[part] = mask.cpu().numpy(), log_density.cpu().numpy().astype(np.float16)
        scores[part] = foreground_score(log_density, mask).cpu().numpy()
        progress(part.stop, count)
    return _summary(masks, scores)


def _summary(masks: np.ndarray, scores: np.ndarray) -> dict[str, float | int]:
    fractions = np.array([mask.mean() for mask in masks])
    return {
        "count": len(masks),
        "empty": int((fractions == 0).sum()),
        "full": int((fractions == 1).sum()),
        "foreground_fraction_mean": round(float(fractions.mean()), 4),
        "foreground_fraction_min": round(float(fractions.min()), 4),
        "foreground_fraction_max": round(float(fractions.max()), 4),
        "clean_foreground_score_mean": round(float(scores.mean()), 4),
    }
