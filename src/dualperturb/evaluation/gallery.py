"""The gallery's data: every attack's example of chosen images, on every classifier, measured one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dualperturb.core.budgets import NORMS
from dualperturb.core.score import foreground_score
from dualperturb.evaluation.measuring.subject import Batch, Subject

# A classifier and one batch -> adversarial images (n, 3, H, W) in [0, 1].
ExampleMaker = Callable[[Subject, Batch], Tensor]
MEASURED = ("predicted", "confidence", "foreground_score", "foreground_norm", "background_norm")


def gallery_arrays(
    subjects: Mapping[str, Subject], attacks: Mapping[str, tuple[str, ExampleMaker]]
) -> dict[str, np.ndarray]:
    """Arrays for the report: K images, the same for all subjects, C classifiers, A attacks by name.

    attacks: name -> the norm its budget is in ("L0", or one of `budgets.NORMS`), and the attack.
    indices, labels (K,); class_names; original (K, 3, H, W) float32; foreground (K, 1, H, W) bool;
    log_density (K, H, W) float32; classifiers (C,); attacks, norms (A,); examples (C, A, K, 3, H, W) float16;
    each of shape (C, A, K): predicted, confidence (softmax of the predicted class), foreground_score,
    foreground_norm and background_norm (in the attack's norm, pixels in [0, 1]; for L0 the share of the
    region's pixels that changed); clean_predicted, clean_confidence (C, K); clean_score (K,).
    """
    first = next(iter(subjects.values()))
    chosen, images, labels, foreground = next(first.batches(len(first.indices)))
    with torch.no_grad():
        log_density = first.log_density(images)
    arrays: dict[str, Any] = {
        "indices": chosen,
        "labels": labels.cpu().numpy(),
        "class_names": np.asarray(first.data.class_names),
        "original": images.cpu().numpy(),
        "foreground": foreground.cpu().numpy(),
        "log_density": log_density.cpu().numpy(),
        "clean_score": foreground_score(log_density, foreground).cpu().numpy(),
        "classifiers": np.asarray(list(subjects)),
        "attacks": np.asarray(list(attacks)),
        "norms": np.asarray([norm for norm, _ in attacks.values()]),
    }
    batch = Batch(chosen, images, labels, foreground)
    rows = [
        [_measured(subject, batch, attack(subject, batch), norm) for norm, attack in attacks.values()]
        for subject in subjects.values()
    ]
    for name in ("examples", *MEASURED):
        arrays[name] = np.stack([np.stack([cell[name] for cell in row]) for row in rows])
    clean = [_predictions(subject, images) for subject in subjects.values()]
    arrays["clean_predicted"] = np.stack([predicted for predicted, _ in clean])
    arrays["clean_confidence"] = np.stack([confidence for _, confidence in clean])
    return arrays


@torch.no_grad()
def _measured(subject: Subject, batch: Batch, examples: Tensor, norm: str) -> dict[str, np.ndarray]:
    _, images, _, foreground = batch
    delta = (examples - images).double()
    predicted, confidence = _predictions(subject, examples)
    return {
        "examples": examples.cpu().numpy().astype(np.float16),
        "predicted": predicted,
        "confidence": confidence,
        "foreground_score": foreground_score(subject.log_density(examples), foreground).cpu().numpy(),
        "foreground_norm": _norm(delta, foreground, norm),
        "background_norm": _norm(delta, ~foreground, norm),
    }


@torch.no_grad()
def _predictions(subject: Subject, images: Tensor) -> tuple[np.ndarray, np.ndarray]:
    confidence, predicted = F.softmax(subject.logits(images).float(), dim=1).max(dim=1)
    return predicted.cpu().numpy(), confidence.cpu().numpy()


def _norm(delta: Tensor, region: Tensor, norm: str) -> np.ndarray:
    inside = delta * region
    if norm == "L0":
        changed = (inside != 0).any(dim=1).flatten(1).sum(dim=1)
        return (changed / region.flatten(1).sum(dim=1).clamp_min(1)).cpu().numpy()
    return torch.linalg.vector_norm(inside.flatten(1), ord=NORMS[norm].order, dim=1).cpu().numpy()
