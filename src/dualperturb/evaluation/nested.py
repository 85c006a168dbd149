"""Nested threat models attacked together: what a sweep without a salience term measures."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dualperturb.attacks.nested import nested_pgd
from dualperturb.core import ranks
from dualperturb.core.adversaries import ThreatModel
from dualperturb.evaluation.scoring import AttackSettings, measure
from dualperturb.evaluation.subject import Batch, Subject


def attack_nested(
    subject: Subject, threats: Sequence[ThreatModel], settings: AttackSettings
) -> list[pd.DataFrame]:
    """For each threat model, each inside the next, a table as `scoring.attack_images` makes it.

    Accuracy never rises from one to the next (see `attacks.nested`). The ranks share the batches, and each
    returns the whole tables. Raises what `measure` raises.
    """
    found = {
        position: _tables(subject, batch, threats, settings)
        for position, batch in subject.own_batches(settings.batch_size)
    }
    batches: list[list[pd.DataFrame]] = ranks.gathered(found)
    return [pd.concat(tables, ignore_index=True) for tables in zip(*batches, strict=True)]


def _tables(
    subject: Subject, batch: Batch, threats: Sequence[ThreatModel], settings: AttackSettings
) -> list[pd.DataFrame]:
    """One batch's tables; where memory runs out, the batch is attacked in halves."""
    chosen, images, labels, foreground = batch

    def attacked(part: slice) -> list[pd.DataFrame]:
        own = chosen[part], images[part], labels[part], foreground[part]
        return _at_once(subject, own, threats, settings)

    pieces = subject.portions.run(attacked, len(chosen))
    return [pd.concat(tables, ignore_index=True) for tables in zip(*pieces, strict=True)]


def _at_once(
    subject: Subject, batch: Batch, threats: Sequence[ThreatModel], settings: AttackSettings
) -> list[pd.DataFrame]:
    chosen, images, labels, foreground = batch
    moving = [threat for threat in threats if threat.eps_f > 0 or (threat.eps_b or 0) > 0]
    results = nested_pgd(
        subject.model,
        images.clone(),  # an attack that works in place must not move what it is measured against
        labels,
        [threat.ball(foreground) for threat in moving],
        steps=settings.steps,
        step_size=settings.step_size,
        restarts=settings.restarts,
        seed=settings.seed,
        indices=chosen.tolist(),
        precision=settings.precision,
    )
    still = [images] * (len(threats) - len(moving))
    return [
        measure(subject, chosen, images, adversarial, labels, foreground, threat)
        for threat, adversarial in zip(threats, [*still, *(result.images for result in results)], strict=True)
    ]
