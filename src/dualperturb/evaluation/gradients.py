"""Loss gradients with respect to the pixels (Fig. 6), and the share of their energy inside the foreground."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from dualperturb.core.devices.memory import BatchSize
from dualperturb.core.objectives import Objective
from dualperturb.errors import UserError
from dualperturb.evaluation.measuring.intervals import mean_interval
from dualperturb.evaluation.measuring.subject import Batch, Subject

DEVIATIONS = 3.0  # standard deviations about the mean of a gradient, beyond which its picture saturates


def energy_table(subject: Subject, batch_size: BatchSize) -> pd.DataFrame:
    """One row per image: index, label, share, foreground_fraction, enrichment, zero_gradient.

    share: the part of the sum of squares of cross-entropy's gradient that lies inside the foreground;
    foreground_fraction: the foreground's part of the area; enrichment: share over foreground_fraction, above
    1 where the gradient gathers in the foreground. An empty or a full foreground can gather nothing: its
    enrichment is 1. zero_gradient: the gradient is 0 everywhere (a saturated loss, or a classifier that masks
    its gradient); share and enrichment are then written as 0 and belong in no mean, see `energy_summary`.
    Raises UserError for a gradient that is not finite.
    """
    tables = subject.each(batch_size, lambda batch: _energies(batch, _gradients(subject, batch)))
    return pd.concat(tables, ignore_index=True)


def energy_summary(table: pd.DataFrame) -> dict[str, float | int | None]:
    """`energy_table` in short: means over the images that have a gradient, with 95 % intervals.

    n: the number of those images; zero_gradients: that of the others; share, foreground_fraction and
    enrichment, each with _low and _high. Without any gradient there is no mean: None.
    """
    measured = table[~table["zero_gradient"]]
    summary: dict[str, float | int | None] = {
        "n": len(measured),
        "zero_gradients": int(table["zero_gradient"].sum()),
    }
    for name in ("share", "foreground_fraction", "enrichment"):
        values = measured[name].to_numpy()
        low, high = mean_interval(values) if len(values) else (None, None)
        mean = float(values.mean()) if len(values) else None
        summary |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    return summary


def gradient_arrays(subjects: Mapping[str, Subject]) -> dict[str, np.ndarray]:
    """Arrays for `figures.gradients`: K images, the same for all subjects, and C classifiers by name.

    indices, labels (K,); class_names; original (K, 3, H, W) float32; foreground (K, 1, H, W) bool;
    classifiers (C,); gradients (C, K, 3, H, W) float32, as `gradient_picture` shows them; share, enrichment
    (C, K) and zero_gradient, as in `energy_table`. Raises UserError if the subjects' images differ.
    """
    first = next(iter(subjects.values()))
    chosen, images, labels, foreground = next(first.batches(len(first.indices)))
    pictures, tables = [], []
    for name, subject in subjects.items():
        batch = next(subject.batches(len(subject.indices)))
        if not (np.array_equal(batch[0], chosen) and np.array_equal(batch[1].cpu(), images.cpu())):
            raise UserError(f"gradients: {name} has other test images; expected the same for all classifiers")
        gradients = _gradients(subject, batch)
        pictures.append(gradient_picture(gradients))
        tables.append(_energies(batch, gradients))
    measures = ("share", "enrichment", "zero_gradient")
    return {
        "indices": chosen,
        "labels": labels.cpu().numpy(),
        "class_names": np.asarray(first.data.class_names),
        "original": images.cpu().numpy(),
        "foreground": foreground.cpu().numpy(),
        "classifiers": np.asarray(list(subjects)),
        "gradients": np.stack(pictures),
        **{name: np.stack([table[name].to_numpy() for table in tables]) for name in measures},
    }


def gradient_picture(gradients: np.ndarray) -> np.ndarray:
    """Gradients (n, 3, H, W) as pictures in [0, 1], float32: image by image, mean +- 3 deviations, clipped.

    Tsipras et al. 2019 ("Robustness may be at odds with accuracy") clip to 3 standard deviations about the
    mean and scale to [0, 1]. Their library (robustness 1.2.1, with its notebooks) holds no code for that
    figure, so what they leave open is settled here: mean and deviation are taken over all pixels and channels
    of one image, and the interval mean +- 3 deviations becomes [0, 1] whether or not a value reaches its
    ends. Mid-grey is the mean in every picture; a gradient without deviation is mid-grey throughout.
    """
    wide = gradients.astype(np.float64)  # in float32 the squares of a confident classifier's gradient vanish
    mean = wide.mean(axis=(1, 2, 3), keepdims=True)
    reach = DEVIATIONS * wide.std(axis=(1, 2, 3), keepdims=True)
    scaled = np.divide(wide - mean, reach, out=np.zeros_like(wide), where=reach > 0)
    return (0.5 + 0.5 * scaled.clip(-1, 1)).astype(np.float32)


def _gradients(subject: Subject, batch: Batch) -> np.ndarray:
    """The gradient of each image's cross-entropy with respect to its pixels, (n, 3, H, W)."""
    chosen, images, labels, _ = batch
    gradients = Objective(subject.model, labels).gradient(images).cpu().numpy()
    finite = np.isfinite(gradients).all(axis=(1, 2, 3))
    if not finite.all():
        raise UserError(f"gradients: that of test image {chosen[~finite][0]} is not finite")
    return gradients


def _energies(batch: Batch, gradients: np.ndarray) -> pd.DataFrame:
    chosen, _, labels, foreground = batch
    mask = foreground.cpu().numpy()
    energy = gradients.astype(np.float64) ** 2
    total = energy.sum(axis=(1, 2, 3))
    share = np.divide((energy * mask).sum(axis=(1, 2, 3)), total, out=np.zeros_like(total), where=total > 0)
    fraction = mask.mean(axis=(1, 2, 3))
    enrichment = np.divide(share, fraction, out=np.ones_like(total), where=fraction > 0)
    return pd.DataFrame(
        {
            "index": chosen,
            "label": labels.cpu().numpy(),
            "share": share,
            "foreground_fraction": fraction,
            "enrichment": np.where(total > 0, enrichment, 0.0),
            "zero_gradient": total == 0,
        }
    )
