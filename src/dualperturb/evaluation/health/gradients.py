"""Probes of a classifier's gradients for the health checks, before any attack is blamed or trusted.

AutoAttack (Croce & Hein 2020) flags zero gradients, randomised classifiers and outputs that are no logits;
Carlini & Wagner 2017 show how a saturated softmax alone defeats attacks on cross-entropy. Whether a step
along the gradient raises the loss is probed because some defences have gradients that are large and finite
but misleading (the shattered and stochastic gradients of Athalye et al. 2018).
"""

from __future__ import annotations

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualperturb.core.balls import Ball
from dualperturb.core.objectives import Objective
from dualperturb.core.seeds import image_seeds
from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation.measuring.scoring import AttackSettings
from dualperturb.evaluation.measuring.subject import Batch, Subject

# The L2 norm of cross-entropy's gradient with respect to pixels in [0, 1] below which parts of the gradient
# underflow in float32 on their way back through the layers. Above it the direction is right: healthy
# classifiers that are sure of themselves have norms of 1e-12, where cross-entropy itself is 0 in float32.
TINY = 1e-30

# Relative difference between two evaluations at one point that rounding alone may cause.
REPEATS = 1e-3

# Lengths of steps along the gradient, as shares of the attack's step size. There are several, none a multiple
# of another: where a step of one length meets a ripple of the loss in the same phase at every pixel, the
# others meet it in different phases.
LENGTHS = (1.0, 0.37, 0.14)

PLACES = ("image", "start")


def probe(subject: Subject, threat: ThreatModel, settings: AttackSettings) -> pd.DataFrame:
    """Two rows per image: at the image itself and at the attack's first random start (column place).

    loss: cross-entropy; norm: that of its gradient; margin_norm: that of the gradient of the margin, which is
    the largest other logit less the label's; finite: whether logits, loss and gradient are finite; repeats:
    whether a second evaluation gives the same logits and the same gradient; rises: whether the threat model's
    steps along the gradient, of each of `LENGTHS` times the attack's step size, all raise the loss, or the
    margin where float32 shows no change of the loss; distribution: whether the output is non-negative and
    sums to 1, as probabilities do.
    """

    def probed(batch: Batch) -> pd.DataFrame:
        chosen, images, labels, foreground = batch
        tables = []
        ball = threat.ball(foreground)
        delta = ball.start(images, image_seeds(settings.seed, chosen, 0))
        for place, points in zip(PLACES, (images, (images + delta).clamp(0, 1)), strict=True):
            columns = _probe_points(subject.model, points, labels, ball, settings.step_size)
            table = pd.DataFrame({name: values.cpu().numpy() for name, values in columns.items()})
            table.insert(0, "place", place)
            table.insert(0, "index", chosen)
            tables.append(table)
        return pd.concat(tables)

    return pd.concat(subject.each(settings.batch_size, probed), ignore_index=True)


def _probe_points(
    model: nn.Module, images: Tensor, labels: Tensor, ball: Ball, step_size: float
) -> dict[str, Tensor]:
    loss, margin, logits, gradient, margin_gradient = _slopes(model, images, labels)
    _, _, again_logits, again, _ = _slopes(model, images, labels)
    rises = torch.ones_like(labels, dtype=torch.bool)
    for length in LENGTHS:
        moved = (images + ball.ascend(gradient, length * step_size)).clamp(0, 1)
        with torch.no_grad():
            new_loss, new_margin, _ = _climbed(model, moved, labels)
        rises &= (new_loss > loss) | ((new_loss == loss) & (new_margin > margin))
    rows = torch.cat([logits, loss[:, None], gradient.flatten(1)], dim=1)
    return {
        "loss": loss,
        "norm": _norm(gradient),
        "margin_norm": _norm(margin_gradient),
        "finite": rows.isfinite().all(dim=1),
        "repeats": _same(gradient, again) & _same(logits, again_logits),
        "rises": rises,
        "distribution": (logits >= 0).all(dim=1) & ((logits.sum(dim=1) - 1).abs() < REPEATS),
    }


def _slopes(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
    """Loss and margin (n,), logits (n, classes), and the gradients (n, 3, H, W) of loss and margin."""
    points = images.detach().clone().requires_grad_(True)
    loss, margin, logits = _climbed(model, points, labels)
    (gradient,) = torch.autograd.grad(loss.sum(), points, retain_graph=True)
    (margin_gradient,) = torch.autograd.grad(margin.sum(), points)
    return loss.detach(), margin.detach(), logits.detach(), gradient, margin_gradient


def _climbed(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cross-entropy (n,), the margin (largest other logit less the label's) (n,), and the logits."""
    loss, logits = Objective(model, labels)(images)
    own = F.one_hot(labels, logits.shape[1]).bool()
    return loss, logits.masked_fill(own, -torch.inf).amax(dim=1) - logits[own], logits


def _same(one: Tensor, other: Tensor) -> Tensor:
    """(n, ...) twice -> bool (n,). Values that are not finite are left to another check."""
    one, other = one.nan_to_num(), other.nan_to_num()
    return _norm(one - other) <= REPEATS * _norm(one)


def _norm(values: Tensor) -> Tensor:
    """(n, ...) -> (n,), in float64: the squares of small gradients vanish in float32."""
    return torch.linalg.vector_norm(values.flatten(1), dim=1, dtype=torch.float64)
