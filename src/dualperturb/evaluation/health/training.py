"""The check that a classifier keeps, as it is used, the accuracy under attack that its training logged.

Training attacks in eval mode and updates in train mode (see `training`). It logs the accuracy of every batch
in train mode, on the adversarial examples, just before the batch's update: BatchNorm takes the batch's own
statistics. A classifier is used and tested in eval mode, with the running statistics. Where the two differ,
say because the running statistics lag behind, the examples are made against another classifier than the one
that is scored on them and learns from them: the log promises an accuracy that nobody gets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dualperturb.core.seeds import image_seeds
from dualperturb.evaluation.health.lines import Line, percent
from dualperturb.evaluation.measuring.intervals import wilson
from dualperturb.evaluation.measuring.scoring import AttackSettings
from dualperturb.evaluation.measuring.subject import Batch, Subject

if TYPE_CHECKING:
    from dualperturb.training.loop import Adversary

# How far the logged accuracy may lie above the interval. Batch statistics and running statistics never agree
# wholly: on the same examples, healthy classifiers of shapes6 differed by up to a point between the two.
MARGIN = 0.05


@dataclass(frozen=True)
class Trained:
    """How a classifier was trained.

    subject: the classifier in eval mode, and training images with their masks; adversary: that of its
    training; logged: accuracy of training's last epoch, a fraction.
    """

    subject: Subject
    adversary: Adversary
    logged: float


def training_line(trained: Trained, settings: AttackSettings) -> Line:
    """Accuracy in eval mode under training's own attack, against the accuracy that training logged.

    The images are attacked as they are, without augmentation, at the full budget, which is that of training's
    last epoch unless the warm-up ends within it. Of the settings only batch size and seed are used.

    Warns if the logged accuracy lies more than `MARGIN` above the 95 % Wilson interval of the measured one,
    and only on that side: the log comes from weights older than the final ones and from shifted and flipped
    images, both of which lower it. Where the true accuracies are equal, it warns by chance with a probability
    of at most 0.014 for 20 images, 0.005 for 60 and 0.002 for 100; where 62 % were logged and 25 % are kept,
    it warns with 0.89, 0.99 and more. With few images, smaller gaps go unnoticed.
    """
    subject = trained.subject

    def correct(batch: Batch) -> np.ndarray:
        chosen, images, labels, foreground = batch
        seeds = image_seeds(settings.seed, chosen, 0)
        examples = trained.adversary(subject.model, images, labels, foreground, seeds, 1.0)
        return (subject.classes(examples) == labels).cpu().numpy()

    stand = np.concatenate(subject.each(settings.batch_size, correct))
    kept, count = int(stand.sum()), len(stand)
    passed = not too_few(trained.logged, kept, count)
    return Line("training", passed, _figures(trained.logged, kept, count), count)


def too_few(logged: float, kept: int, count: int) -> bool:
    """Whether to warn where `kept` of `count` images stand and a share of `logged` was logged."""
    return logged - wilson(kept, count)[1] > MARGIN


def _figures(logged: float, kept: int, count: int) -> str:
    return (
        f"{percent(kept, count)} of training images stand in eval mode against training's own attack, by the "
        f"95 % interval at most {100 * wilson(kept, count)[1]:.1f} %; training's last epoch logged "
        f"{100 * logged:.1f} % in train mode, which may exceed that bound by {100 * MARGIN:.0f} points."
    )
