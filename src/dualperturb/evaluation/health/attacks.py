"""The attacks that the health checks compare, each judged anew as every result is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from torch import Tensor

from dualperturb.core.balls import boxed
from dualperturb.core.budgets import NORMS
from dualperturb.core.devices.memory import BatchSize
from dualperturb.core.gradient_copy import gradient_copy_of
from dualperturb.core.losses import loss_named
from dualperturb.core.norms import LARGEST_RADIUS
from dualperturb.core.objectives import Objective
from dualperturb.core.pgd import perturb, pgd
from dualperturb.core.seeds import image_seeds
from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation.measuring.scoring import AttackSettings, BrokenThreatModelError, measure
from dualperturb.evaluation.measuring.subject import Batch, Subject

# An attack as the checks run it: a batch -> adversarial images (n, 3, H, W).
Attack = Callable[[Batch], Tensor]

NOISE_DRAWS = 5  # inside the ball, and as many on its surface

# Step sizes in the whole cube, as shares of its radius, tried in turn on the images that still stand: a long
# step crosses a plateau, a short one climbs the slopes that the long one steps over.
UNBOUNDED_SHARES = (0.1, 0.02)
UNBOUNDED_STEPS = 20  # at least

_NOISE_STREAM = 1_000_000  # beyond the number of any restart, so that the noise is never an attack's start


@dataclass(frozen=True)
class Outcome:
    """The outcome of one attack.

    correct: bool (n,), in the order of the subject's images; spent: the largest share of a radius that an
    example spent; fault: how an example left the threat model, if one did. Images of a faulty batch count as
    not attacked.
    """

    correct: np.ndarray
    spent: float = 0.0
    fault: str | None = None


def judged(subject: Subject, threat: ThreatModel, attack: Attack, batch_size: BatchSize) -> Outcome:
    """Run `attack` on the subject's images; predictions, norms and pixels are measured on its examples."""
    parts = subject.each(batch_size, lambda batch: _judged_batch(subject, threat, attack, batch))
    return Outcome(
        np.concatenate([np.zeros(0, dtype=bool), *(part.correct for part in parts)]),
        max((part.spent for part in parts), default=0.0),
        first_fault(parts),
    )


def first_fault(outcomes: Sequence[Outcome]) -> str | None:
    """The fault of the first faulty outcome, or None."""
    return next((outcome.fault for outcome in outcomes if outcome.fault is not None), None)


def standing(subject: Subject, outcome: Outcome) -> Subject:
    """The subject with only those images that the outcome left correct."""
    return replace(subject, indices=subject.indices[outcome.correct])


def iterated(subject: Subject, threat: ThreatModel, settings: AttackSettings) -> Attack:
    """PGD with the settings of the results, without a salience term."""

    def attack(batch: Batch) -> Tensor:
        chosen, images, labels, foreground = batch
        return pgd(
            subject.model,
            images.clone(),
            labels,
            threat.ball(foreground),
            steps=settings.steps,
            step_size=settings.step_size,
            restarts=settings.restarts,
            seed=settings.seed,
            indices=chosen.tolist(),
            loss=settings.loss,
            precision=settings.precision,
        ).images

    return attack


def one_more_restart(subject: Subject, threat: ThreatModel, settings: AttackSettings) -> Attack:
    """Only the run that PGD with one more restart would add to `iterated`."""

    def attack(batch: Batch) -> Tensor:
        chosen, images, labels, foreground = batch
        copied = gradient_copy_of(subject.model, settings.precision, images[:1])
        return perturb(
            Objective(subject.model, labels, climbed=copied, loss=loss_named(settings.loss)),
            images.clone(),
            threat.ball(foreground),
            steps=settings.steps,
            step_size=settings.step_size,
            seeds=image_seeds(settings.seed, chosen, settings.restarts),
        )

    return attack


def one_step(subject: Subject, threat: ThreatModel) -> Attack:
    """One step of the whole radius from the image itself (in L-infinity: Goodfellow et al. 2015, FGSM)."""

    def attack(batch: Batch) -> Tensor:
        _, images, labels, foreground = batch
        gradient = Objective(subject.model, labels).gradient(images)
        ball = boxed(threat.ball(foreground), images, images)
        return (images + ball.project(ball.ascend(gradient, 1.0))).clamp(0, 1)

    return attack


def noise(subject: Subject, threat: ThreatModel, settings: AttackSettings) -> Outcome:
    """The worst, image by image, of `NOISE_DRAWS` draws inside the ball and as many on its surface.

    A draw on the surface is the steepest step of the whole radius along noise (L2: uniform, L-infinity: at
    corners).
    """

    def draw(number: int, surface: bool) -> Attack:
        def attack(batch: Batch) -> Tensor:
            chosen, images, _, foreground = batch
            ball = threat.ball(foreground)
            stream = _NOISE_STREAM + 2 * number + surface
            delta = ball.start(images, image_seeds(settings.seed, chosen, stream))
            # Ascending along noise by the whole radius leads to a random point of each region's surface.
            return (images + (ball.project(ball.ascend(delta, 1.0)) if surface else delta)).clamp(0, 1)

        return attack

    draws = [draw(number, surface) for number in range(NOISE_DRAWS) for surface in (False, True)]
    outcomes = [judged(subject, threat, attack, settings.batch_size) for attack in draws]
    return Outcome(
        np.logical_and.reduce([outcome.correct for outcome in outcomes]),
        max(outcome.spent for outcome in outcomes),
        first_fault(outcomes),
    )


def whole_cube(subject: Subject, norm: str) -> ThreatModel:
    """The threat model whose one region is the image and whose ball contains every possible image.

    In L1, for images of more than 10^6 values, the ball contains only those whose mean change is below 10^6
    divided by the number of values.
    """
    values = math.prod(subject.data.images.shape[1:])
    return ThreatModel(norm, min(values ** (1 / NORMS[norm].order), LARGEST_RADIUS))


def unbounded(subject: Subject, threat: ThreatModel, settings: AttackSettings) -> Outcome:
    """PGD over the whole cube with each of `UNBOUNDED_SHARES` in turn, on the images that still stand."""
    cube = whole_cube(subject, threat.norm)
    left = np.ones(len(subject.indices), dtype=bool)
    outcomes = []
    for share in UNBOUNDED_SHARES:
        steps = max(UNBOUNDED_STEPS, settings.steps)
        strong = replace(settings, steps=steps, step_size=share, restarts=1)
        tried = replace(subject, indices=subject.indices[left])
        outcomes.append(judged(tried, cube, iterated(tried, cube, strong), settings.batch_size))
        left[left] = outcomes[-1].correct
    return Outcome(left, max(outcome.spent for outcome in outcomes), first_fault(outcomes))


def _judged_batch(subject: Subject, threat: ThreatModel, attack: Attack, batch: Batch) -> Outcome:
    chosen, images, labels, foreground = batch
    try:
        table = measure(subject, chosen, images, attack(batch), labels, foreground, threat)
    except BrokenThreatModelError as error:
        table = measure(subject, chosen, images, images, labels, foreground, threat)
        return Outcome(table["correct"].to_numpy(), fault=str(error))
    return Outcome(table["correct"].to_numpy(), _spent(table, threat))


def _spent(table: pd.DataFrame, threat: ThreatModel) -> float:
    """The largest share of a radius that an image of the table spent in a region."""
    inside, outside = table["foreground_norm"].to_numpy(), table["background_norm"].to_numpy()
    if threat.eps_b is None:
        whole = np.linalg.norm(np.stack((inside, outside)), ord=NORMS[threat.norm].order, axis=0)
        return float(whole.max() / threat.eps_f)
    regions = ((inside, threat.eps_f), (outside, threat.eps_b))
    return max(float(norms.max() / radius) for norms, radius in regions if radius > 0)
