"""The subject of the attack stages, a trained classifier with test images and masks, and attack settings."""

from __future__ import annotations

import functools

import numpy as np
import torch

from dualperturb.core.classifiers.storage import load_classifier
from dualperturb.core.devices.memory import Portions
from dualperturb.core.images import load_foreground, load_split
from dualperturb.core.threat_model import ThreatModel
from dualperturb.errors import UserError
from dualperturb.evaluation.measuring.scoring import AttackSettings
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.params import Params
from stages.common import MASKS, PREPARED, classifier_folder, device, saliency

Classifier = tuple[str, str | None, int]  # defence, norm of training if it has one, seed of training

SMALL = 64  # pixels a side: on a CPU a second thread only waits for the first where images are no larger


def subject(
    dataset: str,
    defence: str,
    norm: str | None,
    training: int,
    settings: Params,
    images: int | tuple[int, ...] | None = None,
) -> Subject:
    """The classifier trained with `norm` by the seed `training`, and test images: those at the positions
    `images`, or so many (by default DATASET.evaluate.n) drawn by seeds.data. A smaller number draws a subset
    of a larger one's.
    """
    data = load_split(PREPARED / dataset, "test")
    if data.side <= SMALL:
        torch.set_num_threads(1)
    settings.of(dataset).check_test_images(dataset, len(data))
    if isinstance(images, tuple):
        indices = np.asarray(images, dtype=np.int64)
        data.check_indices(indices, f"{dataset}.evaluate.examples")
    else:
        indices = data.choose(images or settings.of(dataset).evaluate.n, settings.seeds.data)
    foreground = load_foreground(MASKS / dataset, "test")
    if foreground.shape != (len(data), 1, data.side, data.side):
        raise UserError(
            f"{MASKS / dataset}: masks of shape {foreground.shape}, expected those of {len(data)} images of "
            f"{data.side}x{data.side} pixels; compute the masks again (dvc repro)"
        )
    return Subject(
        load_classifier(classifier_folder(dataset, defence, norm, training)).to(device()),
        data,
        foreground,
        indices,
        saliency(settings.of(dataset).masks.model),
        device(),
        _portions(),
    )


@functools.cache
def _portions() -> Portions:
    """One for all classifiers of a stage: a batch that did not fit with one is not tried with the next."""
    return Portions()


def attack_settings(dataset: str, norm: str, settings: Params, bounded: bool = False) -> AttackSettings:
    """How strongly a data set is attacked in a norm, by params.yaml.

    bounded: with DATASET.evaluate.min_foreground_score, which dual attacks of the budget sweeps, the strong
    ones and the transferred ones keep; else without a bound.
    """
    chosen = settings.of(dataset).evaluate
    return AttackSettings(
        chosen.steps[norm],
        chosen.step_size,
        chosen.restarts,
        chosen.batch_size,
        settings.seeds.attack,
        chosen.loss,
        chosen.salience_every,
        settings.runtime.precision,
        chosen.min_foreground_score if bounded else None,
    )


def classifiers(settings: Params, norm: str | None = None) -> list[Classifier]:
    """All swept classifiers, or those trained with `norm` or with none; training by training."""
    return [
        (defence, trained, training)
        for training in settings.seeds.training
        for defence in settings.swept
        for trained in settings.trained(defence)
        if norm is None or trained in (None, norm)
    ]


def shown(settings: Params) -> list[Classifier]:
    """Those whose pictures are shown: of the first training."""
    return [one for one in classifiers(settings) if one[2] == settings.seeds.training[0]]


def identity(dataset: str, defence: str, trained: str | None, training: int) -> dict[str, str | int]:
    """The first columns of a row of the results."""
    return {"dataset": dataset, "defence": defence, "trained_norm": trained or "none", "training": training}


def threats(settings: Params, dataset: str, norm: str, side: int) -> dict[str, ThreatModel]:
    """PGD's threat model with eps_f over the whole image, and the dual one, at the budgets of params.yaml."""
    eps_f, eps_b = (settings.radius(dataset, norm, budget, side) for budget in settings.budgets(norm))
    return {"pgd": ThreatModel(norm, eps_f), "dual": ThreatModel(norm, eps_f, eps_b)}
