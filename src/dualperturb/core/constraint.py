"""A foreground score of at least a bound, as a constraint on an attack, and the steps that keep it (ours).

Image by image: max over delta of L(h(x + delta), y) subject to the balls and S(x + delta) >= bound. So an
example is sought that fools and leaves the eye on the foreground. The paper adds S to the loss instead
(`objectives`), where the scales of the two decide which is climbed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dualperturb.core.balls import Ball
from dualperturb.core.checks import check_place, is_number
from dualperturb.core.gradients import gradient_of
from dualperturb.core.norms import L2
from dualperturb.core.objectives import Objective, Saliency
from dualperturb.core.regions import regions_of
from dualperturb.core.score import foreground_score
from dualperturb.core.shown import misclassified
from dualperturb.errors import UserError

Bound = float | str | Tensor
# A changed image's score lies above its bound by as much, and so in float64, too: float32 rounds by less.
GUARD = 1e-5
# The score's weight in a step that keeps the bound, beside the loss's 1. Chosen, with the other steps, on one
# half of 200 test images of shapes6 under the built-in saliency model; docs/saliency.md tells of others.
WEIGHTS = (0.0, 0.5, 1.0, 2.0)
LARGEST_LOSS = 1e30  # of an infinite loss -1 / (1 + loss) would be 0, and so the value of a held bound
_RELATIVE = re.compile(r"clean([+-]\d+(?:\.\d+)?)?")
_ACCEPTED = (
    'accepted: a number from 0 to 1, a tensor of them (N,), "clean", or such as "clean-0.05" or "clean+0.05"'
)


@dataclass(frozen=True)
class Constraint:
    """S(x + delta) >= bound under each of several saliency models.

    models: each maps images to a log density (N, H, W). clean: the images before the attack, (N, C, H, W).
    foreground: bool (N, 1, H, W). bounds: (K, N), one row per model. An empty foreground has a score of 0, a
    full one of 1, by definition.
    """

    models: tuple[Saliency, ...]
    clean: Tensor
    foreground: Tensor
    bounds: Tensor

    def scores(self, images: Tensor) -> Tensor:
        """The foreground score under each model, (K, N)."""
        share = self.foreground.flatten(1).to(images.dtype).mean(dim=1)
        scores = torch.stack(
            [foreground_score(model(images.clone()), self.foreground) for model in self.models]
        )
        return torch.where((share > 0) & (share < 1), scores, share.to(scores.dtype))

    def margin(self, images: Tensor) -> Tensor:
        """How far the score lies above the bound, (N,): under the model where that is least."""
        return (self.scores(images) - self.bounds).min(dim=0).values

    def met(self, images: Tensor, margin: Tensor) -> Tensor:
        """Whether the bound is held, bool (N,)."""
        fixed = self.foreground.flatten(1).all(dim=1) | ~self.foreground.flatten(1).any(dim=1)
        changed = (images != self.clean).flatten(1).any(dim=1)
        return margin >= GUARD * (changed & ~fixed)

    def only(self, rows: Tensor) -> Constraint:
        """The same for some of the images; rows: positions, or bool (N,)."""
        return replace(
            self, clean=self.clean[rows], foreground=self.foreground[rows], bounds=self.bounds[:, rows]
        )


@torch.no_grad()
def constraint(models: Sequence[Saliency], images: Tensor, foreground: Tensor, bound: Bound) -> Constraint:
    """The constraint that `bound` names (see `pgd`). Raises UserError for what is no such bound."""
    no_bound = torch.zeros(len(models), len(images), dtype=images.dtype, device=images.device)
    unbounded = Constraint(tuple(models), images, foreground, no_bound)
    if isinstance(bound, str):
        found = _RELATIVE.fullmatch(bound)
        if not found or abs(float(found[1] or 0)) > 1:
            raise UserError(f"min_foreground_score: found {bound!r}; {_ACCEPTED}")
        return replace(unbounded, bounds=unbounded.scores(images) + float(found[1] or 0))
    if isinstance(bound, Tensor):
        if bound.shape != (len(images),) or not bound.is_floating_point():
            raise UserError(f"min_foreground_score: found {bound.dtype} {tuple(bound.shape)}; {_ACCEPTED}")
        check_place("min_foreground_score", bound, images)
        wrong = bound[~((bound >= 0) & (bound <= 1))]
        if len(wrong):
            raise UserError(f"min_foreground_score: found {float(wrong[0])}; {_ACCEPTED}")
    elif isinstance(bound, bool) or not is_number(bound) or not 0 <= bound <= 1:
        raise UserError(f"min_foreground_score: found {bound!r}; {_ACCEPTED}")
    return replace(unbounded, bounds=no_bound + bound)


class _Best(NamedTuple):
    """The best images met so far: their pixels and what `ConstrainedObjective` values them at."""

    images: Tensor
    value: Tensor
    success: Tensor


@dataclass
class ConstrainedObjective(Objective):
    """Cross-entropy under a constraint; returned are the best images met on the way.

    The best are those that fool and hold the bound, then those that hold it, then those of higher loss. Where
    the bound is held, a step follows the loss and, by the smallest of `WEIGHTS` that keeps the bound to first
    order, the score. Where it is not, a step follows both alike, or the score alone if the image is fooled
    already. Each gradient has unit length in each region. Steps shrink over the second half of the run.
    """

    constraint: Constraint | None = None
    _best: _Best | None = field(default=None, init=False)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) -> the value (N,), which is below 0 where the bound is not held, and the logits."""
        logits = self.model(images)
        return self._value(logits, self._held.met(images, self._held.margin(images))), logits

    def plan(self, steps: int) -> list[tuple[float, float]]:
        return [(step / steps, min(1.0, 2 * (1 - step / steps))) for step in range(steps)]

    def step(self, images: Tensor, done: float, ball: Ball, share: float) -> Tensor:
        climb_loss, logits = self.loss_gradient(images)
        climb_score, margin = self._margin_gradient(images)
        held, fooled = self._held.met(images, margin), misclassified(logits, self.labels)
        self._remember(images, self._value(logits, held), logits)
        regions = regions_of(self._held.foreground, images)
        ascent, salient = (L2.step(climb, (1, 1), regions) for climb in (climb_loss, climb_score))
        steps = {weight: ball.ascend(ascent + weight * salient, share) for weight in WEIGHTS}
        chosen = steps[WEIGHTS[-1]]
        for step in reversed(steps.values()):  # the smallest weight is the last to be asked
            keeps = margin + (climb_score * step).flatten(1).sum(dim=1) >= 0
            chosen = _where(keeps, step, chosen)
        return _where(held, chosen, _where(fooled, ball.ascend(salient, share), steps[1.0]))

    @torch.no_grad()
    def outcome(self, images: Tensor) -> Tensor:
        """The best of `images` and all that a step began at, image by image."""
        value, logits = self(images)
        return self._remember(images, value, logits).images

    def succeeded(self, value: Tensor, logits: Tensor) -> Tensor:
        return super().succeeded(value, logits) & (value >= 0)

    def only(self, rows: Tensor) -> Objective:
        return replace(self, labels=self.labels[rows], constraint=self._held.only(rows))

    @property
    def _held(self) -> Constraint:
        assert self.constraint is not None
        return self.constraint

    def _margin_gradient(self, images: Tensor) -> tuple[Tensor, Tensor]:
        points = images.detach().requires_grad_(True)
        with torch.enable_grad():
            margin = self._held.margin(points)
            climb = gradient_of("saliency", margin, points)
        return climb.contiguous(), margin.detach()

    def _value(self, logits: Tensor, held: Tensor) -> Tensor:
        """Cross-entropy, which is at least 0, or below 0 and rising with it where the bound is not held."""
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        loss = F.cross_entropy(wide, self.labels, reduction="none").clamp_max(LARGEST_LOSS)
        return torch.where(held, loss, -1 / (1 + loss))

    def _remember(self, images: Tensor, value: Tensor, logits: Tensor) -> _Best:
        success = self.succeeded(value, logits)
        now, old = _Best(images.detach(), value, success), self._best
        if old is not None:
            better = (success & ~old.success) | ((success == old.success) & (value > old.value))
            now = _Best(*(_where(better, one, other) for one, other in zip(now, old, strict=True)))
        self._best = now
        return now


def _where(chosen: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Image by image; chosen: bool (N,)."""
    return torch.where(chosen.view(-1, *(1,) * (one.ndim - 1)), one, other)
