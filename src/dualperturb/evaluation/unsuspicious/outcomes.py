"""Outcomes of attacks, image by image: fooled or not, and foreground scores by several saliency models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dualperturb.core.bounded import Bound
from dualperturb.core.objectives import Saliency
from dualperturb.core.score import foreground_score
from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation.measuring.scoring import AttackSettings, attack_at_once
from dualperturb.evaluation.measuring.subject import Batch, Subject
from dualperturb.evaluation.perceptual import Distance, perceptual_distance


@dataclass(frozen=True)
class Attack:
    """One attack. bound: on the foreground score, as in `pgd`; guides: the models that it holds the bound
    under, by default the subject's own."""

    threat: ThreatModel
    salience_weight: float = 0.0
    bound: Bound | None = None
    guides: tuple[Saliency, ...] = ()


def outcomes(
    subject: Subject,
    attack: Attack,
    judges: Mapping[str, Saliency],
    settings: AttackSettings,
    distance: Distance | None = None,
) -> pd.DataFrame:
    """One row per image: index, label, predicted, fooled, and under each judge score_NAME and clean_NAME.

    score_NAME: of the example; clean_NAME: of the image before the attack. With a `distance` also whole and
    foreground, see `perceptual_distance`. Raises what `measure` and `distance` raise.
    """
    own = replace(settings, min_foreground_score=attack.bound, guides=attack.guides)

    def outcome(batch: Batch) -> pd.DataFrame:
        examples, table = attack_at_once(subject, batch, attack.threat, attack.salience_weight, own)
        found = table[["index", "label", "predicted"]].assign(fooled=table["predicted"] != table["label"])
        for name, judge in judges.items():
            found[f"score_{name}"] = _scores(judge, examples, batch.foreground)
            found[f"clean_{name}"] = _scores(judge, batch.images, batch.foreground)
        if distance is None:
            return found
        return found.join(perceptual_distance(batch.images, examples, batch.foreground, distance))

    return pd.concat(subject.each(settings.batch_size, outcome), ignore_index=True)


@torch.no_grad()
def _scores(judge: Saliency, images: Tensor, foreground: Tensor) -> np.ndarray:
    scores: np.ndarray = foreground_score(judge(images.clone()), foreground).cpu().numpy()
    return scores
