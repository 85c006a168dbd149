"""Randomized smoothing (Cohen et al. 2019): certified accuracy, and accuracy under PGD and dual attacks."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

from dualperturb.params import Params
from dualperturb.processes import in_processes
from stages.by_norm import at_once
from stages.common import MEASURES, params, run, timed

if TYPE_CHECKING:
    from dualperturb.evaluation.measuring.subject import Subject
    from dualperturb.evaluation.smoothing import Sampling
    from dualperturb.params.evaluation import Smoothing

Attacked = tuple[str, str]  # a norm and an attack in it: pgd or dual


def main(dataset: str) -> None:
    import pandas as pd

    from dualperturb.files import write_csv

    settings = params(dataset)
    measures = [None, *product(settings.norms, ("pgd", "dual"))]
    with timed(dataset, "smoothing"):
        parts = list(product(settings.seeds.training, measures))
        tables = in_processes(partial(smoothed, dataset), parts, at_once(settings))
        rows = [row for table in tables for row in table]
        write_csv(MEASURES / dataset / "smoothing.csv", pd.DataFrame(rows))


def smoothed(dataset: str, part: tuple[int, Attacked | None]) -> list[dict[Any, Any]]:
    """Rows of the classifier of one training: certified, or under one attack."""
    from dualperturb.evaluation.smoothing import Sampling
    from stages.subject import identity, subject

    (training, attacked), settings = part, params()
    chosen = settings.of(dataset).evaluate.smoothing
    measured = subject(dataset, "smoothing", None, training, settings, chosen.n)
    sigma = settings.of(dataset).train.smoothing.sigma
    sampling = Sampling(sigma, chosen.samples, chosen.alpha, chosen.batch_size, settings.seeds.attack)
    if attacked is None:
        rows = certified(measured, sampling, chosen)
    else:
        sampling = replace(sampling, n=chosen.prediction_samples)
        rows = [under_attack(measured, sampling, *attacked, dataset, settings)]
    own = identity(dataset, "smoothing", None, training)
    return [own | row for row in rows]


def certified(measured: Subject, sampling: Sampling, chosen: Smoothing) -> list[dict[Any, Any]]:
    """A row for each radius."""
    from dualperturb.evaluation.smoothing import certified_accuracy, certify_images

    images = certify_images(measured, sampling, chosen.n0)
    table = certified_accuracy(images, chosen.certifiable(sampling.sigma))
    return [
        {"attack": "certificate", "norm": "L2", "axis": "radius", "value": row.pop("radius"), **row}
        for row in table.to_dict("records")
    ]


def under_attack(
    measured: Subject, sampling: Sampling, norm: str, attack: str, dataset: str, settings: Params
) -> dict[Any, Any]:
    from dualperturb.evaluation.measuring.scoring import budget_columns, outcome_columns
    from dualperturb.evaluation.smoothing import attack_smoothed
    from stages.subject import attack_settings, threats

    threat = threats(settings, dataset, norm, measured.data.side)[attack]
    weight = settings.salience_weight[dataset] if attack == "dual" else 0.0
    eps_f, eps_b = settings.budgets(norm)
    how = attack_settings(dataset, norm, settings)
    draws = settings.of(dataset).evaluate.smoothing.draws
    table = attack_smoothed(measured, threat, weight, how, sampling=sampling, draws=draws)
    return (
        {"attack": attack, "axis": "smoothing", "salience_weight": weight}
        | {"steps": settings.of(dataset).evaluate.steps[norm]}
        | budget_columns(threat, eps_f, eps_b if attack == "dual" else None)
        | outcome_columns(table)
    )


if __name__ == "__main__":
    run(main)
