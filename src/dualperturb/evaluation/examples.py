"""The pictures' data: dual examples by weight and under a bound (Fig. 1), noise by region (Fig. 2)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from dualperturb.core.bounded import Bound
from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation.measuring.scoring import AttackSettings, attack_batch
from dualperturb.evaluation.measuring.subject import Batch, Subject


def dual_arrays(
    subject: Subject,
    threat: ThreatModel,
    salience_weights: tuple[float, ...],
    bound: Bound,
    settings: AttackSettings,
) -> dict[str, np.ndarray]:
    """Arrays for Fig. 1; K is the number of the subject's images, W that of the salience weights.

    indices, labels (K,); original (K, 3, H, W) float32 with original_predicted and original_score (K,);
    foreground (K, 1, H, W) bool; log_density (K, H, W); salience_weights (W,); dual (W + 1, K, 3, H, W) with
    dual_predicted and dual_score (W + 1, K): at each weight, and last without a weight but with a foreground
    score of at least `bound` (see `pgd`). Every picture is measured as the results are. Raises what `measure`
    raises.
    """
    batch = _batch(subject)
    bounded = replace(settings, min_foreground_score=bound)
    asked = [*((weight, settings) for weight in salience_weights), (0.0, bounded)]
    duals = [_attacked("dual", subject, batch, threat, weight, own) for weight, own in asked]
    with torch.no_grad():
        log_density = subject.log_density(batch.images)
    return {
        **_originals(subject, batch, threat.norm, settings),
        "log_density": log_density.cpu().numpy(),
        **{name: np.stack([one[name] for one in duals]) for name in duals[0]},
        "salience_weights": np.asarray(salience_weights, dtype=np.float64),
    }


def noise_arrays(
    subject: Subject, norm: str, radius: float, settings: AttackSettings
) -> dict[str, np.ndarray]:
    """Arrays for Fig. 2: background_noise and foreground_noise, PGD with `radius` in that region alone.

    They have predictions and scores; they and the rest are as in `dual_arrays`.
    """
    batch = _batch(subject)
    return {
        **_originals(subject, batch, norm, settings),
        **_attacked("background_noise", subject, batch, ThreatModel(norm, 0.0, radius), 0.0, settings),
        **_attacked("foreground_noise", subject, batch, ThreatModel(norm, radius, 0.0), 0.0, settings),
    }


def _batch(subject: Subject) -> Batch:
    return next(subject.batches(len(subject.indices)))


def _originals(subject: Subject, batch: Batch, norm: str, settings: AttackSettings) -> dict[str, np.ndarray]:
    return {
        "indices": batch.indices,
        "labels": batch.labels.cpu().numpy(),
        "foreground": batch.foreground.cpu().numpy(),
        **_attacked("original", subject, batch, ThreatModel(norm, 0.0, 0.0), 0.0, settings),
    }


def _attacked(
    name: str, subject: Subject, batch: Batch, threat: ThreatModel, weight: float, settings: AttackSettings
) -> dict[str, np.ndarray]:
    pictures, table = attack_batch(subject, batch, threat, weight, settings)
    return {
        name: pictures.cpu().numpy(),
        f"{name}_predicted": table["predicted"].to_numpy(),
        f"{name}_score": table["foreground_score"].to_numpy(),
    }
