"""The gallery's data, ready for the page: every attack's example of each chosen image on every classifier."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dualperturb.figures.names import NORM_NAMES, classifier_labels
from dualperturb.figures.pictures import density_picture
from dualperturb.report.encoding import outline_path, picture_uri

FACTORS = (0.5, 1, 2, 5, 10, 20, 50, 100)  # by which a perturbation is magnified to be seen
CLIPPED = 0.02  # share of the perturbation's values that may saturate when magnified


def gallery_data(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The data that the page's script shows, in types that JSON has; pictures are data URIs.

    arrays: as `evaluation.gallery.gallery_arrays` makes them. Keys: classes; classifiers; attacks (name,
    norm); side; images (index, label, picture, outline, density, score, clean by classifier); examples by
    classifier, attack and image: predicted, confidence, score, foreground and background (norms), picture,
    perturbation, factor. A perturbation is shown as 0.5 + factor * (example - original).
    """
    names = [str(name) for name in arrays["classifiers"]]
    shown = classifier_labels(names)
    counts = range(len(names)), range(len(arrays["attacks"])), range(len(arrays["labels"]))
    return {
        "classes": [str(name) for name in arrays["class_names"]],
        "classifiers": [shown[name] for name in names],
        "attacks": [
            {"name": str(name).replace(f"({norm})", f"({NORM_NAMES[norm]})"), "norm": NORM_NAMES[norm]}
            for name, norm in zip(arrays["attacks"], map(str, arrays["norms"]), strict=True)
        ],
        "side": int(arrays["original"].shape[-1]),
        "images": [_image(arrays, k) for k in counts[2]],
        "examples": [[[_example(arrays, c, a, k) for k in counts[2]] for a in counts[1]] for c in counts[0]],
    }


def magnification(delta: np.ndarray) -> float:
    """The largest of FACTORS that keeps 0.5 + factor * delta within [0, 1], or the least of them.

    Up to 2 % of the values that changed may leave that range, so that one outlier hides no pattern.
    """
    changed = np.abs(delta[delta != 0])
    most = float(np.quantile(changed, 1 - CLIPPED)) if changed.size else 0.0
    return max((factor for factor in FACTORS if factor * most <= 0.5), default=FACTORS[0])


def _image(arrays: Mapping[str, Any], k: int) -> dict[str, Any]:
    original = arrays["original"][k]
    return {
        "index": int(arrays["indices"][k]),
        "label": int(arrays["labels"][k]),
        "picture": picture_uri(original),
        "outline": outline_path(arrays["foreground"][k, 0]),
        "density": picture_uri(density_picture(original, arrays["log_density"][k])),
        "share": round(float(arrays["foreground"][k].mean()), 3),
        "score": round(float(arrays["clean_score"][k]), 3),
        "clean": [
            {"predicted": int(predicted), "confidence": round(float(confidence), 3)}
            for predicted, confidence in zip(
                arrays["clean_predicted"][:, k], arrays["clean_confidence"][:, k], strict=True
            )
        ],
    }


def _example(arrays: Mapping[str, Any], c: int, a: int, k: int) -> dict[str, Any]:
    example = arrays["examples"][c, a, k].astype(np.float32)
    delta = example - arrays["original"][k].astype(np.float16).astype(np.float32)
    factor = magnification(delta)
    return {
        "predicted": int(arrays["predicted"][c, a, k]),
        "confidence": round(float(arrays["confidence"][c, a, k]), 3),
        "score": round(float(arrays["foreground_score"][c, a, k]), 3),
        "foreground": float(f"{arrays['foreground_norm'][c, a, k]:.3g}"),
        "background": float(f"{arrays['background_norm'][c, a, k]:.3g}"),
        "picture": picture_uri(example),
        "perturbation": picture_uri(0.5 + factor * delta),
        "factor": factor,
    }
