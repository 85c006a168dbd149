"""A summary of a split's masks: numbers, the masks that need a look, and a sheet of examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dualperturb.core.images import ImageSet

if TYPE_CHECKING:
    from PIL import Image

PERCENTILES = (5, 25, 50, 75, 95)
NAMED = 20  # so many empty and full masks are named
COLUMNS = 6  # images of each class on the sheet


def summarise(fractions: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    """The foreground's share of the image, empty and full masks, the foreground score of the clean images.

    fractions: (N,), the share in each image, 0 where its mask is empty and 1 where it is full; scores: (N,).
    Shares and scores are rounded to four digits. Empty and full masks are counted, and the first 20 of each
    are named by their position in the split.
    """
    empty, full = np.flatnonzero(fractions == 0), np.flatnonzero(fractions == 1)
    percentiles = np.percentile(fractions, PERCENTILES)
    return {
        "count": len(fractions),
        "empty": len(empty),
        "empty_first": empty[:NAMED].tolist(),
        "full": len(full),
        "full_first": full[:NAMED].tolist(),
        "foreground_fraction_mean": round(float(fractions.mean()), 4),
        "foreground_fraction_min": round(float(fractions.min()), 4),
        "foreground_fraction_max": round(float(fractions.max()), 4),
        "foreground_fraction_percentiles": {
            f"{percentile:02d}": round(float(value), 4)
            for percentile, value in zip(PERCENTILES, percentiles, strict=True)
        },
        "clean_foreground_score_mean": round(float(scores.mean()), 4),
    }


def mask_sheet(data: ImageSet, masks: np.ndarray) -> Image.Image:
    """The first images of each class with the outline of `masks`, bool (N, 1, H, W)."""
    # Imported here, because it imports readers of params.yaml and fonts, which the numbers do not need.
    from dualperturb.datasets.check import contact_sheet

    return contact_sheet(ImageSet(data.images, data.labels, data.class_names, masks), COLUMNS)
