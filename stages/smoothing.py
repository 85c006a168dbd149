"""Randomized smoothing (Cohen et al. 2019): certified accuracy, and accuracy under PGD and dual attacks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dualperturb.params import Params
from stages.common import MEASURES, params, run, timed


def main(dataset: str) -> None:
    import pandas as pd

    from dualperturb.files import write_csv

    settings = params(dataset)
    with timed(dataset, "smoothing"):
        rows = [row for seed in settings.seeds.training for row in smoothed(seed, dataset, settings)]
        write_csv(MEASURES / dataset / "smoothing.csv", pd.DataFrame(rows))


def smoothed(training: int, dataset: str, settings: Params) -> list[dict[str, Any]]:
    """The rows of one training's classifier: certified, and attacked in each norm."""
    from dualperturb.evaluation.measuring.scoring import budget_columns, outcome_columns
    from dualperturb.evaluation.smoothing import Sampling, attack_smoothed, certified_accuracy, certify_images
    from stages.subject import attack_settings, identity, subject, threats

    chosen = settings.of(dataset).evaluate.smoothing
    measured = subject(dataset, "smoothing", None, training, settings, chosen.n)
    sigma = settings.of(dataset).train.smoothing.sigma
    certifying = Sampling(sigma, chosen.samples, chosen.alpha, chosen.batch_size, settings.seeds.attack)
    predicting = replace(certifying, n=chosen.prediction_samples)
    images = certify_images(measured, certifying, chosen.n0)
    certified = certified_accuracy(images, chosen.certifiable(sigma))
    rows: list[dict[str, Any]] = [
        {"attack": "certificate", "norm": "L2", "axis": "radius", "value": row.pop("radius"), **row}
        for row in certified.to_dict("records")
    ]
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
            rows.append(
                {"attack": attack, "axis": "smoothing", "salience_weight": weight}
                | {"steps": settings.of(dataset).evaluate.steps[norm]}
                | budget_columns(threat, budgets[0], budgets[1] if attack == "dual" else None)
                | outcome_columns(table)
            )
    own = identity(dataset, "smoothing", None, training)
    return [own | row for row in rows]


if __name__ == "__main__":
    run(main)
