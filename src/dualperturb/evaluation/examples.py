"""The pictures' data: dual examples at several salience weights (Fig. 1), noise by region (Fig. 2)."""

from __future__ import annotations

import numpy as np
import torch

from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation.measuring.scoring import AttackSettings, attack_batch
from dualperturb.evaluation.measuring.subject import Subject


def example_arrays(
    subject: Subject,
    dual: ThreatModel,
    noise_radius: float,
    salience_weights: tuple[float, ...],
    settings: AttackSettings,
) -> dict[str, np.ndarray]:
    """Arrays for `figures`; K is the number of the subject's images, W that of the salience weights.

    indices, labels (K,); original (K, 3, H, W) float32; foreground (K, 1, H, W) bool; log_density (K, H, W);
    salience_weights (W,); dual (W, K, 3, H, W) with dual_predicted and dual_score (W, K);
    foreground_noise and background_noise: PGD with `noise_radius` in that region alone, with predictions and
    scores (K,). Every picture is measured as the results are. Raises what `measure` raises.
    """
    batch = next(subject.batches(len(subject.indices)))

    def described(name: str, threat: ThreatModel, weight: float = 0.0) -> dict[str, np.ndarray]:
        pictures, table = attack_batch(subject, batch, threat, weight, settings)
        return {
            name: pictures.cpu().numpy(),
            f"{name}_predicted": table["predicted"].to_numpy(),
            f"{name}_score": table["foreground_score"].to_numpy(),
        }

    chosen, images, labels, foreground = batch
    duals = [described("dual", dual, weight) for weight in salience_weights]
    with torch.no_grad():
        log_density = subject.log_density(images)
    return {
        "indices": chosen,
        "labels": labels.cpu().numpy(),
        "foreground": foreground.cpu().numpy(),
        **described("original", ThreatModel(dual.norm, 0.0, 0.0)),
        **described("foreground_noise", ThreatModel(dual.norm, noise_radius, 0.0)),
        **described("background_noise", ThreatModel(dual.norm, 0.0, noise_radius)),
        "log_density": log_density.cpu().numpy(),
        **{name: np.stack([one[name] for one in duals]) for name in duals[0]},
        "salience_weights": np.asarray(salience_weights, dtype=np.float64),
    }
