"""Randomized smoothing: certified accuracy for one budget and for two, accuracy under PGD and dual."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dualperturb.params import SMOOTHED, Params
from stages.common import MEASURES, params, run, timed

if TYPE_CHECKING:
    from dualperturb.evaluation.measuring.subject import Subject
    from dualperturb.evaluation.smoothing import Sampling

Rows = Iterator[dict[str, Any]]


def main(dataset: str) -> None:
    import pandas as pd

    from dualperturb.files import write_csv

    settings = params(dataset)
    with timed(dataset, "smoothing"):
        rows = [
            row
            for seed in settings.seeds.training
            for defence in SMOOTHED
            for row in smoothed(defence, seed, dataset, settings)
        ]
        write_csv(MEASURES / dataset / "smoothing.csv", pd.DataFrame(rows))


def smoothed(defence: str, training: int, dataset: str, settings: Params) -> Rows:
    """The rows of one classifier: certified, and attacked in each norm unless its noise is by region."""
    from dualperturb.attacks.smoothed import GaussianNoise
    from dualperturb.evaluation.smoothing import Sampling
    from stages.subject import identity, subject

    section = settings.of(dataset)
    chosen, trained = section.evaluate.smoothing, section.train.smoothed(defence)
    measured = subject(dataset, defence, None, training, settings, chosen.n)
    noise = GaussianNoise(**trained.noise)
    sampling = Sampling(noise, chosen.samples, chosen.alpha, chosen.batch_size, settings.seeds.attack)
    own = identity(dataset, defence, None, training)
    yield from (own | row for row in certified(measured, sampling, dataset, settings, trained.least_sigma))
    if noise.background is None:
        yield from (own | row for row in attacked(measured, sampling, dataset, settings))


def certified(
    measured: Subject, sampling: Sampling, dataset: str, settings: Params, least_sigma: float
) -> Rows:
    """Certified accuracy over the radius in L2, then over eps_b."""
    from dualperturb.core.threat_model import ThreatModel
    from dualperturb.evaluation.measuring.scoring import budget_columns
    from dualperturb.evaluation.smoothing import certified_accuracy, certify_images

    chosen = settings.of(dataset).evaluate.smoothing
    images, noise = certify_images(measured, sampling, chosen.n0), sampling.noise
    for radius in chosen.certifiable(least_sigma):
        own = {"attack": "certificate", "norm": "L2", "axis": "radius", "value": radius}
        yield own | certified_accuracy(images, radius)
    for eps_b in chosen.eps_b:
        budgets = [settings.radius(dataset, "L2", eps, measured.data.side) for eps in (chosen.eps_f, eps_b)]
        own = {"attack": "certificate", "axis": "certified_eps_b", "value": eps_b}
        own |= budget_columns(ThreatModel("L2", *budgets), chosen.eps_f, eps_b)
        yield own | certified_accuracy(images, noise.radius(*budgets))


def attacked(measured: Subject, sampling: Sampling, dataset: str, settings: Params) -> Rows:
    """Accuracy under PGD and dual attacks, each image's class by fewer copies than a certificate takes."""
    from dualperturb.evaluation.measuring.scoring import budget_columns, outcome_columns
    from dualperturb.evaluation.smoothing import attack_smoothed
    from stages.subject import attack_settings, threats

    chosen = settings.of(dataset).evaluate.smoothing
    predicting = replace(sampling, n=chosen.prediction_samples)
    for norm in settings.norms:
        budgets = settings.budgets(norm)
        for attack, threat in threats(settings, dataset, norm, measured.data.side).items():
            weight = settings.salience_weight[dataset] if attack == "dual" else 0.0
            table = attack_smoothed(
                measured,
                threat,
                weight,
                attack_settings(dataset, norm, settings),
                sampling=predicting,
                draws=chosen.draws,
            )
            yield (
                {"attack": attack, "axis": "smoothing", "salience_weight": weight}
                | {"steps": settings.of(dataset).evaluate.steps[norm]}
                | budget_columns(threat, budgets[0], budgets[1] if attack == "dual" else None)
                | outcome_columns(table)
            )


if __name__ == "__main__":
    run(main)
