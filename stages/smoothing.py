"""Randomized smoothing: certified accuracy for one budget and for two, accuracy under PGD and dual."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

from dualperturb.params import SMOOTHED, Params
from dualperturb.processes import in_processes
from stages.by_norm import at_once
from stages.common import MEASURES, params, run, timed

if TYPE_CHECKING:
    from dualperturb.evaluation.measuring.subject import Subject
    from dualperturb.evaluation.smoothing import Sampling

Attacked = tuple[str, str]  # a norm and an attack in it: pgd or dual
Part = tuple[int, str, Attacked | None]  # seed of training, defence, None for the certificate


def main(dataset: str) -> None:
    import pandas as pd

    from dualperturb.files import write_csv

    settings = params(dataset)
    with timed(dataset, "smoothing"):
        tables = in_processes(partial(smoothed, dataset), parts(dataset, settings), at_once(settings))
        rows = [row for table in tables for row in table]
        write_csv(MEASURES / dataset / "smoothing.csv", pd.DataFrame(rows))


def parts(dataset: str, settings: Params) -> list[Part]:
    """Each classifier is certified, and attacked in each norm unless its noise is by region."""
    found: list[Part] = []
    for training, defence in product(settings.seeds.training, SMOOTHED):
        isotropic = "background" not in settings.of(dataset).train.smoothed(defence).noise
        attacks = product(settings.norms, ("pgd", "dual")) if isotropic else ()
        found += [(training, defence, attacked) for attacked in (None, *attacks)]
    return found


def smoothed(dataset: str, part: Part) -> list[dict[str, Any]]:
    """Rows of one classifier: certified, or under one attack."""
    from dualperturb.attacks.smoothed import GaussianNoise
    from dualperturb.evaluation.smoothing import Sampling
    from stages.subject import identity, subject

    (training, defence, attacked), settings = part, params()
    section = settings.of(dataset)
    chosen, trained = section.evaluate.smoothing, section.train.smoothed(defence)
    measured = subject(dataset, defence, None, training, settings, chosen.n)
    noise = GaussianNoise(**trained.noise)
    sampling = Sampling(noise, chosen.samples, chosen.alpha, chosen.batch_size, settings.seeds.attack)
    if attacked is None:
        rows = certified(measured, sampling, dataset, settings, trained.least_sigma)
    else:
        sampling = replace(sampling, n=chosen.prediction_samples)
        rows = [under_attack(measured, sampling, *attacked, dataset, settings)]
    own = identity(dataset, defence, None, training)
    return [own | row for row in rows]


def certified(
    measured: Subject, sampling: Sampling, dataset: str, settings: Params, least_sigma: float
) -> list[dict[str, Any]]:
    """Certified accuracy over the radius in L2, then over eps_b.

    Budgets that no number of votes certifies are on an axis of their own: there the 0 is no estimate.
    """
    from dualperturb.core.threat_model import ThreatModel
    from dualperturb.evaluation.measuring.scoring import budget_columns
    from dualperturb.evaluation.smoothing import certified_accuracy, certify_images

    chosen = settings.of(dataset).evaluate.smoothing
    images, noise = certify_images(measured, sampling, chosen.n0), sampling.noise
    rows: list[dict[str, Any]] = []
    for radius in chosen.certifiable(least_sigma):
        own = {"attack": "certificate", "norm": "L2", "axis": "radius", "value": radius}
        rows.append(own | certified_accuracy(images, radius))
    for eps_b in chosen.eps_b:
        budgets = [settings.radius(dataset, "L2", eps, measured.data.side) for eps in (chosen.eps_f, eps_b)]
        radius = noise.radius(*budgets)
        axis = "certified_eps_b" if radius < chosen.largest_radius(least_sigma) else "eps_b_out_of_reach"
        own = {"attack": "certificate", "axis": axis, "value": eps_b}
        own |= budget_columns(ThreatModel("L2", *budgets), chosen.eps_f, eps_b)
        rows.append(own | certified_accuracy(images, radius))
    return rows


def under_attack(
    measured: Subject, sampling: Sampling, norm: str, attack: str, dataset: str, settings: Params
) -> dict[str, Any]:
    """Accuracy under PGD or dual, each image's class by fewer copies than a certificate takes."""
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
