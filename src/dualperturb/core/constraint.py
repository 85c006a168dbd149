"""A foreground score of at least a bound, as a constraint on an attack, and the steps that keep it (ours).

Image by image: max over delta of L(h(x + delta), y) subject to the balls and S(x + delta) >= bound. So an
example is sought that fools and leaves the eye on the foreground. The paper adds S to the loss instead
(`objectives`), where the scales of the two decide which is climbed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from dualperturb.core.balls import Ball
from dualperturb.core.gradients import gradient_of
from dualperturb.core.norms import L2
from dualperturb.core.objectives import Objective, Saliency, Standing
from dualperturb.core.regions import regions_of
from dualperturb.core.score import foreground_score
from dualperturb.core.shown import misclassified

# A changed image's score lies above its bound by as much, and so in float64, too: float32 rounds by less.
GUARD = 1e-5
# The score's weight in a step that keeps the bound, beside the loss's 1. Chosen, with the other steps, on one
# half of 200 test images of shapes6 under the built-in saliency model; docs/unsuspicious.md tells of others.
WEIGHTS = (0.0, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Constraint:
    """S(x + delta) >= bound under each of several saliency models.

    models: each maps images to a log density (N, H, W). clean: the images before the attack, (N, C, H, W).
    foreground: bool (N, 1, H, W). bounds: (K, N), one row per model. binds: False for the number 0, which is
    no bound. An empty foreground has a score of 0, a full one of 1, by definition.
    """

    models: tuple[Saliency, ...]
    clean: Tensor
    foreground: Tensor
    bounds: Tensor
    binds: bool = True

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

    def climb(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The margin's gradient, (N, C, H, W), and the margin."""
        points = images.detach().requires_grad_(True)
        with torch.enable_grad():
            margin = self.margin(points)
            climb = gradient_of("saliency", margin, points)
        return climb.contiguous(), margin.detach()

    def direction(self, at: Slopes, move: Callable[[Tensor], Tensor]) -> Tensor:
        """What to climb at some images so as to fool within the bound, (N, C, H, W).

        Where the bound is held, it is the loss's gradient and, by the smallest of `WEIGHTS` that keeps the
        bound to first order, the score's. Where it is not, it is both alike, or the score's alone if the
        image is fooled already. Each gradient has unit length in each region. move: a direction -> the
        change of the images that comes of it.
        """
        regions = regions_of(self.foreground, at.loss)
        ascent, salient = (L2.step(climb, (1, 1), regions) for climb in (at.loss, at.score))
        mixed = [ascent + weight * salient for weight in WEIGHTS]
        chosen = mixed[-1]
        for one in reversed(mixed):  # the smallest weight is the last to be asked
            keeps = at.margin + (at.score * move(one)).flatten(1).sum(dim=1) >= 0
            chosen = _where(keeps, one, chosen)
        return _where(at.held, chosen, _where(at.fooled, salient, ascent + salient))

    def only(self, rows: Tensor) -> Constraint:
        """The same for some of the images; rows: positions, or bool (N,)."""
        return replace(
            self, clean=self.clean[rows], foreground=self.foreground[rows], bounds=self.bounds[:, rows]
        )


class Slopes(NamedTuple):
    """What a step under a constraint goes by, at some images: the gradients of loss and margin, (N, C, H, W),
    the margin (N,), and whether the bound is held and the image fooled, bool (N,)."""

    loss: Tensor
    score: Tensor
    margin: Tensor
    held: Tensor
    fooled: Tensor


class _Best(NamedTuple):
    """The best images met so far."""

    images: Tensor
    standing: Standing


@dataclass
class ConstrainedObjective(Objective):
    """A loss under a constraint; returned are the best images met on the way.

    The best are those that fool and hold the bound, then those that hold it, then those of higher loss. Steps
    follow `Constraint.direction`, and shrink over the second half of the run.
    """

    constraint: Constraint | None = None
    _best: _Best | None = field(default=None, init=False)

    def plan(self, steps: int) -> list[float]:
        return [min(1.0, 2 * (1 - step / steps)) for step in range(steps)]

    def step(self, images: Tensor, ball: Ball, share: float) -> Tensor:
        direction, _ = self.ascent(images, ball, share)
        return ball.ascend(direction, share)

    def ascent(self, images: Tensor, ball: Ball, share: float) -> tuple[Tensor, Tensor]:
        climb_loss, logits = self.loss_gradient(images)
        climb_score, margin = self._held.climb(images)
        held, fooled = self._held.met(images, margin), misclassified(logits, self.labels)
        self._remember(images, self._standing(logits, held))
        slopes = Slopes(climb_loss, climb_score, margin, held, fooled)
        return self._held.direction(slopes, lambda direction: ball.ascend(direction, share)), logits

    @torch.no_grad()
    def outcome(self, images: Tensor) -> Tensor:
        """The best of `images` and all that a step began at, image by image."""
        return self._remember(images, self.standing(images)).images

    def standing(self, images: Tensor) -> Standing:
        return self._standing(self.model(images), self._held.met(images, self._held.margin(images)))

    @torch.no_grad()
    def fooled(self, images: Tensor, logits: Tensor, among: Tensor) -> Tensor:
        """As `Objective.fooled`, and the bound is held; images: those of the last step's beginning."""
        assert self._best is not None
        return (among & self._best.standing.success).nonzero().flatten()

    def only(self, rows: Tensor) -> Objective:
        chosen = replace(self, labels=self.labels[rows], constraint=self._held.only(rows))
        if self._best is not None:
            chosen._best = _Best(self._best.images[rows], self._best.standing.only(rows))
        return chosen

    @property
    def _held(self) -> Constraint:
        assert self.constraint is not None
        return self.constraint

    def _standing(self, logits: Tensor, held: Tensor) -> Standing:
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return Standing(misclassified(logits, self.labels) & held, held, self.loss(wide, self.labels))

    def _remember(self, images: Tensor, standing: Standing) -> _Best:
        now, old = _Best(images.detach(), standing), self._best
        if old is not None:
            better = standing.above(old.standing)
            parts = zip(standing, old.standing, strict=True)
            best = Standing(*(_where(better, one, other) for one, other in parts))
            now = _Best(_where(better, now.images, old.images), best)
        self._best = now
        return now


def _where(chosen: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Image by image; chosen: bool (N,)."""
    return torch.where(chosen.view(-1, *(1,) * (one.ndim - 1)), one, other)
