"""What the attack stages measure: a trained classifier, its test images and masks; and how they attack."""

from __future__ import annotations

import numpy as np

from dualperturb.classifiers import load_classifier
from dualperturb.errors import UserError
from dualperturb.evaluation.scoring import AttackSettings, Subject
from dualperturb.images import load_foreground, load_split
from dualperturb.params import Params
from stages.common import MASKS, MODELS, PREPARED, device, saliency


def subject(dataset: str, defence: str, settings: Params, images: tuple[int, ...] | None = None) -> Subject:
    """The classifier on `n` test images drawn by the seed, or on those at the positions `images`."""
    data = load_split(PREPARED / dataset, "test")
    settings.check_test_images(dataset, len(data))
    if images is None:
        indices = data.choose(settings.evaluate[dataset].n, settings.seed)
    else:
        indices = np.asarray(images, dtype=np.int64)
        data.check_indices(indices, f"evaluate.{dataset}.examples")
    foreground = load_foreground(MASKS / dataset, "test")
    if foreground.shape != (len(data), 1, data.side, data.side):
        raise UserError(
            f"{MASKS / dataset}: masks of shape {foreground.shape}, expected those of {len(data)} images of "
            f"{data.side}x{data.side} pixels; compute the masks again (dvc repro)"
        )
    return Subject(
        load_classifier(MODELS / dataset / defence).to(device()),
        data,
        foreground,
        indices,
        saliency(settings.masks[dataset].model),
        device(),
    )


def attack_settings(dataset: str, settings: Params) -> AttackSettings:
    chosen = settings.evaluate[dataset]
    return AttackSettings(
        chosen.steps,
        chosen.step_size,
        chosen.restarts,
        chosen.batch_size,
        settings.seed,
        chosen.objective,
        chosen.salience_every,
    )
