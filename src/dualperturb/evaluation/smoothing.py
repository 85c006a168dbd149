"""Randomized smoothing: the smoothed classifier's predictions, its certificates, and attacks on it.

The smoothed classifier answers with the class that the base classifier gives most often under noise
N(0, sigma^2) on every pixel. Cohen, Rosenfeld and Kolter 2019: PREDICT and CERTIFY in section 3.2, the radius
in theorem 1. With a sigma of its own in each region the same argument certifies two budgets: see
`GaussianNoise`, also for the masks with which that is sound. Everything here is an estimate from n noisy
copies: the statement about a single image is wrong with probability at most alpha. For all images together
there is no such bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch
from scipy.special import betaincinv
from scipy.stats import binomtest, norm
from torch import Tensor, nn

from dualperturb.attacks.smoothed import GaussianNoise, SmoothedClassifier, draw, generator
from dualperturb.core.devices.memory import Portions
from dualperturb.core.seeds import image_seeds
from dualperturb.core.shown import logits_in
from dualperturb.core.steady import check_mode
from dualperturb.core.threat_model import ThreatModel
from dualperturb.errors import UserError
from dualperturb.evaluation.measuring.intervals import accuracy_columns
from dualperturb.evaluation.measuring.scoring import AttackSettings, attack_at_once
from dualperturb.evaluation.measuring.subject import Batch, Subject

ABSTAINED = -1
# Differs from the salts of `SmoothedClassifier` and of starts: votes are taken on noise that no attack saw.
VOTES_SALT = (0, 1)


@dataclass(frozen=True)
class Sampling:
    """How many noisy copies of an image are drawn, how noisy they are, and how sure a statement has to be.

    noise: the same everywhere or by region; n: noisy copies per image; alpha: probability of
    a wrong statement; batch_size: noisy copies that the classifier sees at a time, which bounds the memory
    and does not change the noise; portions: lowers that number once memory has run out.
    Raises UserError for values out of range, and for so few copies that every image would be abstained on.
    """

    noise: GaussianNoise
    n: int
    alpha: float
    batch_size: int
    seed: int
    portions: Portions = field(default_factory=lambda: Portions("noisy copies"), repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(f"batch_size: expected at least 1, got {self.batch_size}")
        if not 0 < self.alpha < 1:
            raise UserError(f"alpha: expected a number between 0 and 1, got {self.alpha}")
        if self.n < 1 or 2 * 0.5**self.n > self.alpha:
            fewest = int(np.ceil(np.log2(2 / self.alpha)))
            raise UserError(f"n: expected at least {fewest} noisy copies at alpha {self.alpha}, got {self.n}")


def predict_images(subject: Subject, sampling: Sampling) -> pd.DataFrame:
    """PREDICT on the subject's images. Columns: index, label, predicted, correct, votes, runner_up_votes.

    predicted: -1 for an abstention, which counts as not correct; votes, runner_up_votes: how many of n noisy
    copies got the top class and the second class. Raises UserError if the classifier is in train mode.
    """
    rows = []
    for batch in subject.batches(1):
        given = _votes(subject.model, batch, sampling.n, sampling)
        predicted, votes, runner_up = predict(np.bincount(given), sampling.alpha)
        rows.append(_row(batch, predicted) | {"votes": votes, "runner_up_votes": runner_up})
    return pd.DataFrame(rows)


def certify_images(subject: Subject, sampling: Sampling, n0: int) -> pd.DataFrame:
    """CERTIFY on the subject's images. Columns: index, label, predicted, correct, votes, lower_bound, radius.

    n0: noisy copies that are drawn first and choose a class; the n after them bound its probability.
    predicted: -1 for an abstention, with radius 0; votes: those for the chosen class, out of n; lower_bound:
    on its probability; radius: no perturbation of smaller L2 norm, pixels in [0, 1], changes the prediction,
    and none within two budgets whose `GaussianNoise.radius` is smaller.
    No radius exceeds sigma * Phi^-1(alpha^(1/n)), the lower sigma of two, whatever the classifier.
    Raises UserError for n0 below 1 or a classifier in train mode.
    """
    if n0 < 1:
        raise UserError(f"n0: expected at least 1, got {n0}")
    rows = []
    for batch in subject.batches(1):
        given = _votes(subject.model, batch, n0 + sampling.n, sampling)
        selected = int(np.bincount(given[:n0]).argmax())
        votes = int((given[n0:] == selected).sum())
        bound = lower_bound(votes, sampling.n, sampling.alpha)
        certified = bound > 0.5
        row = _row(batch, selected if certified else ABSTAINED)
        radius = min(sampling.noise.sigmas) * float(norm.ppf(bound)) if certified else 0.0
        rows.append(row | {"votes": votes, "lower_bound": bound, "radius": radius})
    return pd.DataFrame(rows)


def certified_accuracy(table: pd.DataFrame, radius: float) -> dict[str, float | int]:
    """n, accuracy, accuracy_low, accuracy_high (fractions, 95 % Wilson interval).

    accuracy: the share of images that are classified rightly and certified beyond the radius. table: from
    `certify_images`. At radius 0 all count that are right and not abstained on. For two budgets
    the radius is that of `GaussianNoise.radius`.
    """
    return accuracy_columns(int((table["correct"] & (table["radius"] > radius)).sum()), len(table))


def attack_smoothed(
    subject: Subject,
    threat: ThreatModel,
    salience_weight: float,
    settings: AttackSettings,
    *,
    sampling: Sampling,
    draws: int,
) -> pd.DataFrame:
    """`scoring.attack_images` for the smoothed classifier, with the columns votes and runner_up_votes, too.

    The attack climbs the expectation over noise, estimated from `draws` noise images per step (see
    `SmoothedClassifier`); a batch takes the memory of settings.batch_size * draws images. predicted and
    correct are PREDICT's, from sampling.n other noisy copies of the finished example: an abstention is -1 and
    counts as not correct. Raises what `measure` raises, and UserError for a classifier in train mode, no
    draws or noise by region.
    """
    _check_mode(subject.model)
    settings = replace(settings, precision="fp32")  # a copy in bf16 would draw noise of its own

    def attacked(batch: Batch) -> pd.DataFrame:
        climbed = SmoothedClassifier(subject.model, sampling.noise, draws, settings.seed, subject.device)
        smoothed = replace(subject, model=climbed)
        adversarial, table = attack_at_once(smoothed, batch, threat, salience_weight, settings)
        outcomes = []
        finished = batch._replace(images=adversarial)
        for place in range(len(adversarial)):
            given = _votes(subject.model, finished.part(slice(place, place + 1)), sampling.n, sampling)
            outcomes.append(predict(np.bincount(given), sampling.alpha))
        table["predicted"], table["votes"], table["runner_up_votes"] = np.array(outcomes, dtype=np.int64).T
        table["correct"] = table["predicted"] == table["label"]
        return table

    return pd.concat(subject.each(settings.batch_size, attacked, copies=draws), ignore_index=True)


def predict(counts: np.ndarray, alpha: float) -> tuple[int, int, int]:
    """PREDICT's class, or -1 to abstain; the votes of the top class and of the second.

    counts: votes per class. Abstains unless the two-sided binomial test of Hung and Fithian 2019 rejects, at
    level alpha, that the two classes with the most votes are equally probable.
    """
    ranked = np.argsort(-counts, kind="stable")
    votes, runner_up = int(counts[ranked[0]]), int(counts[ranked[1]]) if len(counts) > 1 else 0
    sure = binomtest(votes, votes + runner_up, 0.5).pvalue <= alpha
    return int(ranked[0]) if sure else ABSTAINED, votes, runner_up


def lower_bound(votes: int, n: int, alpha: float) -> float:
    """Clopper-Pearson's one-sided bound: with a chance of at most alpha a class's probability is below it."""
    return float(betaincinv(votes, n - votes + 1, alpha)) if votes else 0.0


@torch.no_grad()
def _votes(model: nn.Module, alone: Batch, count: int, sampling: Sampling) -> np.ndarray:
    """The class of each of `count` noisy copies of the image of a batch of one: int64 (count,)."""
    _check_mode(model)
    (image,), scale = alone.images, sampling.noise.scale(alone.foreground)
    source = generator(image_seeds(sampling.seed, alone.indices, *VOTES_SALT)[0], image.device)
    begun = source.get_state()

    def voted(part: slice) -> Tensor:
        nonlocal begun
        source.set_state(begun)  # copies that did not fit are drawn again
        noise = draw(part.stop - part.start, image.shape, image.dtype, source)
        given = logits_in(model(noise.mul_(scale).add_(image))).argmax(dim=1)
        begun = source.get_state()
        return given

    return torch.cat(sampling.portions.run(voted, count, sampling.batch_size)).cpu().numpy()


def _row(alone: Batch, predicted: int) -> dict[str, object]:
    index, label = int(alone.indices[0]), int(alone.labels[0])
    return {"index": index, "label": label, "predicted": predicted, "correct": predicted == label}


def _check_mode(model: nn.Module) -> None:
    """In train mode BatchNorm makes the answer to a noisy copy depend on the others: no certificate holds."""
    if getattr(model, "training", False):
        raise UserError("model: found in train mode, smoothing needs eval mode; call model.eval() first")
    check_mode(model)  # a part of it may be in train mode by itself
