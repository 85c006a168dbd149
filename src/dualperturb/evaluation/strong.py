"""Dual-AutoAttack on a classifier's test images, measured anew as every attack is."""

from __future__ import annotations

import pandas as pd

from dualperturb.attacks.auto import auto_attack
from dualperturb.core.gradient_copy import GradientCopy
from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation.measuring.scoring import AttackSettings, outcome
from dualperturb.evaluation.measuring.subject import Batch, Subject


def auto_attack_images(subject: Subject, threat: ThreatModel, settings: AttackSettings) -> pd.DataFrame:
    """As `scoring.attack_images`, by Dual-AutoAttack; the column fooled_by names the part that succeeded.

    Of the settings, steps, batch_size, seed, the bound and its guides are used: the attack chooses the rest
    itself.
    """

    def attacked(batch: Batch) -> pd.DataFrame:
        chosen, images, labels, foreground = batch
        result = auto_attack(
            GradientCopy(subject.model, images[:1], "fp32"),
            images.clone(),
            labels,
            threat.ball(foreground),
            steps=settings.steps,
            seed=settings.seed,
            indices=chosen.tolist(),
            saliency=settings.guides_of(subject),
            min_foreground_score=settings.bound(threat),
        )
        table = outcome(subject, batch, result.images, threat, settings)
        return table.assign(fooled_by=list(result.fooled_by))

    return pd.concat(subject.each(settings.batch_size, attacked), ignore_index=True)
