"""Attacks on nested threat models together, as a sweep without a salience term makes them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dualperturb.attacks.nested import nested_pgd
from dualperturb.core.devices import ranks
from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation.measuring.scoring import AttackSettings, outcome
from dualperturb.evaluation.measuring.subject import Batch, Subject


def attack_nested(
    subject: Subject, threats: Sequence[ThreatModel], settings: AttackSettings
) -> list[pd.DataFrame]:
    """One table per threat model, as `scoring.attack_images` makes it.

    Nested threat models are attacked together, so that accuracy is never higher in one that contains another
    (see `attacks.nested`). Under a bound on the foreground score the same holds of what `scoring.outcome`
    calls correct: an example that fools and holds the bound does so in every threat model around its own.
    threats: no two alike, and all of PGD or all of dual. The ranks share the batches, and each returns the
    whole tables. Raises what `measure` raises.
    """
    rising = sorted(threats, key=_budgets)  # so that each comes before those that contain it
    found = {
        position: _tables(subject, batch, rising, settings)
        for position, batch in subject.own_batches(settings.batch_size)
    }
    batches: list[list[pd.DataFrame]] = ranks.gathered(found)
    tables = [pd.concat(parts, ignore_index=True) for parts in zip(*batches, strict=True)]
    return [tables[rising.index(threat)] for threat in threats]


def _budgets(threat: ThreatModel) -> tuple[float, float]:
    return threat.eps_f, threat.eps_b or 0.0


def around(rising: Sequence[ThreatModel]) -> list[list[int]]:
    """For each threat model, the positions of those that contain it with no other in between.

    The first of these is the one with the same eps_f, if there is one.
    """

    def inside(one: ThreatModel, other: ThreatModel) -> bool:
        return all(a <= b for a, b in zip(_budgets(one), _budgets(other), strict=True))

    larger = [
        {place for place, other in enumerate(rising) if other != one and inside(one, other)} for one in rising
    ]
    return [sorted(all_of - set().union(*(larger[place] for place in all_of))) for all_of in larger]


def _tables(
    subject: Subject, batch: Batch, threats: Sequence[ThreatModel], settings: AttackSettings
) -> list[pd.DataFrame]:
    """One batch's tables; where memory runs out, the batch is attacked in halves."""

    def attacked(part: slice) -> list[pd.DataFrame]:
        return _at_once(subject, batch.part(part), threats, settings)

    pieces = subject.portions.run(attacked, len(batch.images))
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
        loss=settings.loss,
        precision=settings.precision,
        around=around(moving),
        saliency=settings.guides_of(subject),
        min_foreground_score=settings.bound(threats[0]),
    )
    still = [images] * (len(threats) - len(moving))
    return [
        outcome(subject, batch, adversarial, threat, settings)
        for threat, adversarial in zip(threats, [*still, *(result.images for result in results)], strict=True)
    ]
