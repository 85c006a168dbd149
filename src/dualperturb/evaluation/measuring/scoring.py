"""Attacks on test images, whose outcome is measured anew: an attack's own claim is never the result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dualperturb.core.bounded import Bound, binding, constraint
from dualperturb.core.budgets import NORMS
from dualperturb.core.devices import ranks
from dualperturb.core.devices.memory import BatchSize
from dualperturb.core.objectives import Saliency
from dualperturb.core.pgd import pgd
from dualperturb.core.result import NORM_TOLERANCE, BrokenThreatModelError
from dualperturb.core.score import foreground_score
from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation.measuring.intervals import accuracy_columns, mean_columns
from dualperturb.evaluation.measuring.subject import Batch, Subject

COLUMNS = (
    *("index", "label", "predicted", "correct"),
    *("foreground_norm", "background_norm", "foreground_score"),
)


@dataclass(frozen=True)
class AttackSettings:
    """Settings as in `pgd`; batch_size, images or "auto", changes only the speed, never the starts.

    min_foreground_score: bounds attacks in two regions; guides: the saliency models that it holds for, by
    default the subject's.
    """

    steps: int
    step_size: float
    restarts: int
    batch_size: BatchSize
    seed: int
    loss: str = "cross_entropy"
    salience_every: int = 1
    precision: str = "fp32"
    min_foreground_score: Bound | None = None
    guides: tuple[Saliency, ...] = ()

    def bound(self, threat: ThreatModel) -> Bound | None:
        """That of attacks in `threat`; None for PGD, which has no foreground to hold it in."""
        return None if threat.eps_b is None else self.min_foreground_score

    def guides_of(self, subject: Subject) -> tuple[Saliency, ...]:
        return self.guides or (subject.saliency,)


def attack_images(
    subject: Subject, threat: ThreatModel, salience_weight: float, settings: AttackSettings
) -> pd.DataFrame:
    """A row per image: index, label, predicted, correct, foreground_norm, background_norm, foreground_score.

    Norms are the ones spent, in the threat model's norm, pixels in [0, 1]. A threat model whose radii are all
    0 leaves the images as they are, and no attack is run. The ranks share the batches, and each returns the
    whole table. Raises what `measure` raises.
    """
    found = {
        position: attack_batch(subject, batch, threat, salience_weight, settings)[1]
        for position, batch in subject.own_batches(settings.batch_size)
    }
    tables: list[pd.DataFrame] = ranks.gathered(found)
    return pd.concat(tables, ignore_index=True)


def attack_batch(
    subject: Subject, batch: Batch, threat: ThreatModel, salience_weight: float, settings: AttackSettings
) -> tuple[Tensor, pd.DataFrame]:
    """The adversarial images (n, 3, H, W) of one batch, and the table that `measure` makes of them.

    Where memory runs out, the batch is attacked in halves, which gives the same examples.
    """

    def attacked(part: slice) -> tuple[Tensor, pd.DataFrame]:
        return attack_at_once(subject, batch.part(part), threat, salience_weight, settings)

    examples, tables = zip(*subject.portions.run(attacked, len(batch.images)), strict=True)
    return torch.cat(examples), pd.concat(tables, ignore_index=True)


def attack_at_once(
    subject: Subject, batch: Batch, threat: ThreatModel, salience_weight: float, settings: AttackSettings
) -> tuple[Tensor, pd.DataFrame]:
    """`attack_batch` on all of the batch, however much memory it takes."""
    chosen, images, labels, foreground = batch
    adversarial, bound = images, settings.bound(threat)
    if threat.eps_f > 0 or (threat.eps_b or 0) > 0:
        adversarial = pgd(
            subject.model,
            images.clone(),  # an attack that works in place must not move what it is measured against
            labels,
            threat.ball(foreground),
            steps=settings.steps,
            step_size=settings.step_size,
            restarts=settings.restarts,
            seed=settings.seed,
            indices=chosen.tolist(),
            saliency=subject.saliency if bound is None else settings.guides_of(subject),
            salience_weight=salience_weight,
            loss=settings.loss,
            salience_every=settings.salience_every if bound is None else 1,
            precision=settings.precision,
            min_foreground_score=bound,
        ).images
    return adversarial, outcome(subject, batch, adversarial, threat, settings)


@torch.no_grad()
def outcome(
    subject: Subject, batch: Batch, adversarial: Tensor, threat: ThreatModel, settings: AttackSettings
) -> pd.DataFrame:
    """What `measure` makes of a batch's finished examples, under a bound where the settings have one.

    An example that misses the bound counts for nothing: `correct` is True there, whatever is `predicted`. So
    the mean of `correct` is the share of images of which the attack has no example that fools and holds the
    bound, which the column `feasible` tells as `AttackResult.feasible` does; without a bound there is none.
    """
    chosen, images, labels, foreground = batch
    table = measure(subject, chosen, images, adversarial, labels, foreground, threat)
    bound = settings.bound(threat)
    if bound is None:
        return table
    asked = binding(constraint(settings.guides_of(subject), images, foreground, bound))
    if asked is not None:
        table["feasible"] = asked.met(adversarial, asked.margin(adversarial)).cpu().numpy()
        table["correct"] |= ~table["feasible"]
    return table


@torch.no_grad()
def measure(
    subject: Subject,
    chosen: np.ndarray,
    images: Tensor,
    adversarial: Tensor,
    labels: Tensor,
    foreground: Tensor,
    threat: ThreatModel,
) -> pd.DataFrame:
    """Predictions, norms and scores of finished examples, as in `attack_images`.

    images, adversarial: (n, 3, H, W), the test images `chosen` and what an attack made of them.
    Raises BrokenThreatModelError unless every pixel lies in [0, 1] and every norm in its budget.
    """
    _check_pixels(images, adversarial)
    delta = (adversarial - images).double()
    norms = {
        "image": _norm(delta, threat.norm),
        "foreground": _norm(delta * foreground, threat.norm),
        "background": _norm(delta * ~foreground, threat.norm),
    }
    _check_budgets(norms, threat, chosen)
    predicted = subject.logits(adversarial).argmax(dim=1)
    scores = foreground_score(subject.log_density(adversarial), foreground)
    columns = {
        "label": labels,
        "predicted": predicted,
        "correct": predicted == labels,
        "foreground_norm": norms["foreground"].float(),
        "background_norm": norms["background"].float(),
        "foreground_score": scores,
    }
    return pd.DataFrame({"index": chosen, **{name: value.cpu().numpy() for name, value in columns.items()}})


def outcome_columns(table: pd.DataFrame) -> dict[str, float | int]:
    """n, accuracy and mean foreground score, with 95 % intervals, of a table that `measure` made."""
    right = accuracy_columns(int(table["correct"].sum()), len(table))
    return right | mean_columns("foreground_score", table["foreground_score"])


def budget_columns(threat: ThreatModel, eps_f: float, eps_b: float | None) -> dict[str, str | float]:
    """norm; eps_f and eps_b at the paper's scale and as spent. eps_b None: eps_f for the whole image."""
    return {
        "norm": threat.norm,
        "eps_f": eps_f,
        "eps_b": eps_f if eps_b is None else eps_b,
        "eps_f_spent": threat.eps_f,
        "eps_b_spent": threat.eps_f if threat.eps_b is None else threat.eps_b,
    }


def _check_pixels(images: Tensor, adversarial: Tensor) -> None:
    if adversarial.shape != images.shape or adversarial.dtype != images.dtype:
        raise BrokenThreatModelError(
            f"examples: found {adversarial.dtype} {tuple(adversarial.shape)}, "
            f"expected {images.dtype} {tuple(images.shape)}"
        )
    # Written so that NaN fails, too.
    if not ((adversarial >= 0) & (adversarial <= 1)).all():
        low, high = float(adversarial.min()), float(adversarial.max())
        raise BrokenThreatModelError(f"pixels: found {low:.8g} to {high:.8g}, expected 0 to 1")


def _check_budgets(norms: dict[str, Tensor], threat: ThreatModel, chosen: np.ndarray) -> None:
    budgets = {"foreground": threat.eps_f, "background": threat.eps_b}
    if threat.eps_b is None:
        budgets = {"image": threat.eps_f}
    for region, radius in budgets.items():
        assert radius is not None
        worst = int(norms[region].argmax())
        spent = float(norms[region][worst])
        if not spent <= radius * (1 + NORM_TOLERANCE) + 1e-7:
            raise BrokenThreatModelError(
                f"{region} of test image {chosen[worst]}: {threat.norm} norm {spent:.6g}, budget {radius:.6g}"
            )


def _norm(delta: Tensor, norm: str) -> Tensor:
    """(n, ...) -> (n,). Computed apart from the attacks' own norms, so that a fault in those shows here."""
    return torch.linalg.vector_norm(delta.flatten(1), ord=NORMS[norm].order, dim=1)
