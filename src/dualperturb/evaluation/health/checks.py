"""The checks of whether an attack is as strong as it claims: one line each, passed or not, with figures.

After Carlini et al. 2019, "On Evaluating Adversarial Robustness", Athalye et al. 2018, "Obfuscated Gradients
Give a False Sense of Security", and the flags of AutoAttack (Croce & Hein 2020). A line that does not pass
says that an accuracy under this attack may owe more to the attack's weakness than to the classifier. One more
line asks the same about the attack that the classifier was trained with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dualperturb.core.threat_model import ThreatModel
from dualperturb.errors import UserError
from dualperturb.evaluation.health.attacks import (
    NOISE_DRAWS,
    Outcome,
    first_fault,
    iterated,
    judged,
    noise,
    one_more_restart,
    one_step,
    standing,
    unbounded,
    whole_cube,
)
from dualperturb.evaluation.health.gradients import probe
from dualperturb.evaluation.health.lines import (
    Line,
    difference_line,
    gradient_lines,
    percent,
    within_noise,
)
from dualperturb.evaluation.health.tables import sweep_line, transfer_line
from dualperturb.evaluation.health.training import Trained, training_line
from dualperturb.evaluation.measuring.scoring import AttackSettings
from dualperturb.evaluation.measuring.subject import Subject


@dataclass(frozen=True)
class _Runs:
    """base, one_step and noise ran on all images, the others on those that stood against base."""

    base: Outcome
    doubled: Outcome
    restarted: Outcome
    one_step: Outcome
    noise: Outcome
    unbounded: Outcome


def health(
    subject: Subject,
    threat: ThreatModel,
    settings: AttackSettings,
    sweep: pd.DataFrame | None = None,
    transfer: pd.DataFrame | None = None,
    training: Trained | None = None,
) -> pd.DataFrame:
    """The checks of one classifier under one threat model, attacked without a salience term.

    One row per check: check (a key that never changes), question, passed, figures (one sentence), n (images).
    sweep: this classifier's rows of the results (axis, value, accuracy, n, salience_weight), for the check
    `monotone`, which is left out where no point had a salience term: such sweeps fall by construction;
    transfer: rows with this classifier as target, made in the same threat model (source, target, accuracy, if
    known n; one row per source), for the check `transfer`; training: a classifier that was trained
    adversarially, for the check `training`. Without one of these, its check is left out.

    Doubled steps, another restart and the unbounded attack run only on the images that stood against the
    attack: the question is what it missed, and every larger effort includes what it fooled. Cost per image:
    1 attack, 10 evaluations of noise and, where all images stand, at most 3 more attacks and 2 in the whole
    cube; and 1 attack of training's own on each training image.
    Raises UserError for a threat model without a budget and for tables that lack what is named above.
    """
    if not (threat.eps_f > 0 or (threat.eps_b or 0) > 0):
        raise UserError("threat model: both radii are 0; a health check needs a budget")
    # The saliency model takes no part: with a uniform density `measure` need not call it.
    subject = replace(subject, saliency=_uniform)
    monotone = None if sweep is None else sweep_line(sweep)
    runs = _run_all(subject, threat, settings)
    lines = [_unbounded_line(subject, threat, runs), *([monotone] if monotone else [])]
    lines += _convergence_lines(runs, settings)
    if transfer is not None:
        lines.append(transfer_line(transfer, runs.base.correct))
    lines += gradient_lines(probe(subject, threat, settings))
    lines.append(_budget_line(runs))
    if training is not None:
        lines.append(training_line(training, settings))
    return pd.DataFrame([line.row() for line in lines])


def _run_all(subject: Subject, threat: ThreatModel, settings: AttackSettings) -> _Runs:
    size = settings.batch_size
    base = judged(subject, threat, iterated(subject, threat, settings), size)
    left = standing(subject, base)
    longer = replace(settings, steps=2 * settings.steps)
    return _Runs(
        base,
        judged(left, threat, iterated(left, threat, longer), size),
        judged(left, threat, one_more_restart(left, threat, settings), size),
        judged(subject, threat, one_step(subject, threat), size),
        noise(subject, threat, settings),
        unbounded(left, threat, settings),
    )


def _unbounded_line(subject: Subject, threat: ThreatModel, runs: _Runs) -> Line:
    count, left = len(runs.base.correct), int(runs.unbounded.correct.sum())
    cube = whole_cube(subject, threat.norm)
    return Line(
        "unbounded",
        left == 0,
        f"{percent(left, count)} stand with every image allowed ({threat.norm} radius {cube.eps_f:.4g}), "
        f"{percent(int(runs.base.correct.sum()), count)} within the threat model.",
        count,
    )


def _convergence_lines(runs: _Runs, settings: AttackSettings) -> list[Line]:
    base, count = int(runs.base.correct.sum()), len(runs.base.correct)
    steps, restarts = settings.steps, settings.restarts
    more = (
        ("steps", runs.doubled, f"{2 * steps} steps in place of {steps}"),
        ("restarts", runs.restarted, f"{restarts + 1} starts in place of {restarts}"),
    )
    lines = []
    for check, outcome, effort in more:
        left = int(outcome.correct.sum())
        lines.append(
            Line(
                check,
                within_noise(base - left, count),
                f"With {effort}, {percent(left, count)} stand in place of {percent(base, count)} "
                f"({base - left} of {count} images more are fooled).",
                count,
            )
        )
    attack = f"{steps} steps"
    draws = f"the worst of {2 * NOISE_DRAWS} draws of noise"
    lines.append(difference_line("one_step", attack, runs.base.correct, "one step", runs.one_step.correct))
    lines.append(difference_line("noise", attack, runs.base.correct, draws, runs.noise.correct))
    return lines


def _budget_line(runs: _Runs) -> Line:
    outcomes = [runs.base, runs.doubled, runs.restarted, runs.one_step, runs.noise, runs.unbounded]
    fault = first_fault(outcomes)
    spent = max(outcome.spent for outcome in outcomes)
    figures = f"At most {spent:.6f} of a radius was spent, and every pixel lies in [0, 1]."
    if fault is not None:
        figures = f"Broken: {fault}."
    return Line("budget", fault is None, figures, len(runs.base.correct))


def _uniform(images: Tensor) -> Tensor:
    """(n, 3, H, W) -> a uniform log density (n, H, W)."""
    height, width = images.shape[2:]
    return torch.full((len(images), height, width), -float(np.log(height * width)), device=images.device)
