"""Transferability (appendix D): adversarial examples made on one classifier, tried on every other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from dualperturb.core.devices import ranks
from dualperturb.core.devices.memory import BatchSize
from dualperturb.core.threat_model import ThreatModel
from dualperturb.errors import UserError
from dualperturb.evaluation.measuring.intervals import wilson
from dualperturb.evaluation.measuring.scoring import AttackSettings, attack_batch
from dualperturb.evaluation.measuring.subject import Subject


def transfer(
    subjects: Mapping[str, Subject],
    attacks: Mapping[str, tuple[ThreatModel, float]],
    settings: AttackSettings,
) -> pd.DataFrame:
    """One row per attack, source and target: the target's accuracy on examples made on the source.

    subjects: name -> classifier, all on the same images with the same masks; attacks: name -> threat model
    and salience weight. Columns: attack, source, target, n, accuracy, accuracy_low, accuracy_high (fractions,
    95 % Wilson interval). Where target and source are the same, the row is the white-box attack, as in
    `attack_images`. The examples of a batch are made once per source, checked by `measure`, and dropped when
    every target has seen them. Under a bound of the settings an example that misses it counts for nothing on
    any target. Raises UserError if the subjects' images, labels or masks differ, and what
    `measure` raises.
    """
    _check_same_images(subjects, settings.batch_size)
    rows = []
    for attack, (threat, salience_weight) in attacks.items():
        for source in subjects:
            for target, right in _right(subjects, source, threat, salience_weight, settings).items():
                count = len(subjects[source].indices)
                low, high = wilson(right, count)
                rows.append(
                    {
                        "attack": attack,
                        "source": source,
                        "target": target,
                        "n": count,
                        "accuracy": right / count,
                        "accuracy_low": low,
                        "accuracy_high": high,
                    }
                )
    return pd.DataFrame(rows)


def _right(
    subjects: Mapping[str, Subject],
    source: str,
    threat: ThreatModel,
    salience_weight: float,
    settings: AttackSettings,
) -> dict[str, int]:
    """How many of the examples made on `source`, by all ranks, each target still classifies rightly."""
    right = dict.fromkeys(subjects, 0)
    for _, batch in subjects[source].own_batches(settings.batch_size):
        examples, table = attack_batch(subjects[source], batch, threat, salience_weight, settings)
        right[source] += int(table["correct"].sum())
        missed = ~np.asarray(table.get("feasible", True))
        for name, target in subjects.items():
            if name != source:
                correct = target.classes(examples) == batch.labels.to(target.device)
                right[name] += int((correct.cpu().numpy() | missed).sum())
    totals = ranks.total(list(right.values()), subjects[source].device)
    return {name: int(count) for name, count in zip(right, totals, strict=True)}


def _check_same_images(subjects: Mapping[str, Subject], size: BatchSize) -> None:
    (first, reference), *others = subjects.items()
    for name, other in others:
        if other.indices.tolist() != reference.indices.tolist():
            raise UserError(f"transfer: {name} has other test images than {first}; expected the same for all")
        for mine, its in zip(reference.batches(size), other.batches(size), strict=True):
            for what, one, two in zip(("images", "labels", "masks"), mine[1:], its[1:], strict=True):
                if not torch.equal(one.cpu(), two.cpu()):
                    raise UserError(f"transfer: the {what} of {name} differ from those of {first}")
