"""The objectives of the dual-perturbation attack: the paper's, and a balanced way to climb it.

The paper's objective is cross-entropy + salience_weight * S(x + delta). Where a classifier is confident, the
gradient of cross-entropy all but vanishes and that of S does not, so that a step of fixed length follows S
alone, and the attack fails on images that it fools with weight 0. `BalancedObjective` is ours: it spends its
steps on S where the image is fooled already.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from dualperturb.core.balls import Ball
from dualperturb.core.gradient_copy import GradientCopy
from dualperturb.core.gradients import gradient_of
from dualperturb.core.norms import L2
from dualperturb.core.regions import regions_of
from dualperturb.core.score import foreground_score
from dualperturb.core.shown import misclassified, shown

Saliency = Callable[[Tensor], Tensor]

# SALIENCE_SHARE: the length of S's gradient over cross-entropy's, after each is scaled to unit length per
# region, at salience_weight 1. GIVE_UP: the share of the steps after which an image that was never fooled is
# given up and S is climbed on it, too. Both were chosen on shapes6 for foreground scores as high as the
# paper's objective reaches at weights up to 1.
SALIENCE_SHARE = 3.0
GIVE_UP = 0.75


@dataclass
class Objective:
    """The paper's objective, for each image: cross-entropy + salience_weight * foreground score.

    labels: int64 (N,); foreground: bool (N, 1, H, W). With weight 0 the saliency model is never called, else
    once forward and once backward per step; with salience_every k only in every k-th step, and the steps
    between use its gradient again. climbed: the copy that the loss's gradient is taken of (see
    `gradient_copy`); None: it is taken of the model. An object serves one run, because it counts the steps.
    """

    model: Callable[[Tensor], Tensor]
    labels: Tensor
    saliency: Saliency | None = None
    salience_weight: float = 0.0
    foreground: Tensor | None = None
    salience_every: int = 1
    climbed: Callable[[Tensor], Tensor] | None = None
    _steps: int = field(default=0, init=False)
    _climb_score: Tensor | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.model = shown(self.model)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) -> the objective (N,) and the logits (N, classes)."""
        loss, logits = self._loss(images)
        return (loss + self.salience_weight * self._score(images) if self.salience_weight else loss), logits

    def gradient(self, images: Tensor, done: float) -> Tensor:
        """The direction to climb at `images`, (N, C, H, W); done: the share of the steps taken so far."""
        climb_loss, _ = self.loss_gradient(images)
        if not self.salience_weight:
            return climb_loss
        climb_score, _ = self._score_gradient(images)
        return climb_loss + self.salience_weight * climb_score

    def step(self, images: Tensor, done: float, ball: Ball, share: float) -> Tensor:
        """The step from `images`, (N, C, H, W), by a share of the ball's radius; done: as in `gradient`."""
        return ball.ascend(self.gradient(images, done), share)

    def ascent(self, images: Tensor, ball: Ball, share: float) -> tuple[Tensor, Tensor]:
        """The direction of such a step, without a salience term, and the logits; both at `images`."""
        return self.loss_gradient(images)

    def plan(self, steps: int) -> list[tuple[float, float]]:
        """For each step of a run: the share of the steps taken before it, and its length in step sizes."""
        return [(step / steps, 1.0) for step in range(steps)]

    def succeeded(self, value: Tensor, logits: Tensor) -> Tensor:
        """Whether an attack may end with images of this value and these logits, bool (N,)."""
        return misclassified(logits, self.labels)

    def holds(self, value: Tensor) -> Tensor:
        """Whether images of this value hold the bound, if there is one, bool (N,)."""
        return torch.ones_like(value, dtype=torch.bool)

    def outcome(self, images: Tensor) -> Tensor:
        """The images to return when the last step led to `images`: here, `images` themselves."""
        return images

    def only(self, rows: Tensor) -> Objective:
        """The same for some of the images, without an older score gradient; rows: positions or bool (N,)."""
        foreground = None if self.foreground is None else self.foreground[rows]
        return replace(self, labels=self.labels[rows], foreground=foreground)

    @torch.no_grad()
    def fooled(self, images: Tensor, logits: Tensor, among: Tensor) -> Tensor:
        """Positions of the images in `among`, bool (N,), that the model misclassifies. logits: the copy's, or
        without a copy the model's. Waits for a GPU once, or twice where the copy is fooled."""
        wrong = (among & misclassified(logits, self.labels)).nonzero().flatten()
        if self.climbed is None or not len(wrong):
            return wrong
        return wrong[misclassified(self.model(images[wrong]), self.labels[wrong])]

    def loss_gradient(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy's gradient, and the logits, both of the copy if there is one, else of the model."""
        points = images.detach().requires_grad_(True)
        try:
            with torch.enable_grad():
                loss, logits = self._loss(points, self.climbed)
                climb = gradient_of("model", loss, points)
        except Exception as error:  # networks raise many types
            if not (isinstance(self.climbed, GradientCopy) and self.climbed.gives_way(error)):
                raise
            return self.loss_gradient(images)
        # The gradient of a classifier in channels-last layout has that layout, and balls would mix the two.
        return climb.contiguous(), logits.detach()

    def _score_gradient(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """The foreground score's gradient, and the score (N,), or None in a step with an older gradient."""
        due, score = self._steps % self.salience_every == 0, None
        if due or self._climb_score is None:
            images = images.detach().requires_grad_(True)
            with torch.enable_grad():
                score = self._score(images)
                self._climb_score = gradient_of("saliency", score, images)
            score = score.detach()
        self._steps += 1
        return self._climb_score, score

    def _loss(
        self, images: Tensor, climbed: Callable[[Tensor], Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        logits = (climbed or self.model)(images)
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return F.cross_entropy(wide, self.labels, reduction="none"), logits

    def _score(self, images: Tensor) -> Tensor:
        assert self.saliency is not None and self.foreground is not None
        return foreground_score(self.saliency(images.clone()), self.foreground)  # it may change its copy


class _Best(NamedTuple):
    """The best images met so far: fooled ones come first, then higher foreground scores."""

    images: Tensor
    fooled: Tensor
    score: Tensor


@dataclass
class BalancedObjective(Objective):
    """Fool first, then raise the foreground score, and return the best images met on the way (ours).

    Both gradients are scaled to unit length in each region. The gradient of S counts for images that are
    fooled at the moment and, after the share GIVE_UP of the steps, for those that never were. As many steps
    again follow, ever shorter, because long ones would leap across the edge of what still fools. So it costs
    twice as much as the paper's objective. The best images are sought only in the steps that renew S's
    gradient and at the end of the run. Needs a salience_weight above 0.
    """

    _best: _Best | None = field(default=None, init=False)

    def plan(self, steps: int) -> list[tuple[float, float]]:
        return super().plan(steps) + [(1.0, 1 - step / steps) for step in range(steps)]

    def gradient(self, images: Tensor, done: float) -> Tensor:
        climb_loss, logits = self.loss_gradient(images)
        climb_score, score = self._score_gradient(images)
        fooled = misclassified(logits, self.labels)
        if score is not None:
            self._remember(images.detach(), fooled, score)
        assert self._best is not None and self.foreground is not None
        salient = fooled | (~self._best.fooled & (done >= GIVE_UP))
        weight = (SALIENCE_SHARE * self.salience_weight * salient.to(images.dtype)).view(-1, 1, 1, 1)
        regions = regions_of(self.foreground, images)
        ascent, salient_ascent = (L2.step(climb, (1, 1), regions) for climb in (climb_loss, climb_score))
        return ascent + weight * salient_ascent

    @torch.no_grad()
    def outcome(self, images: Tensor) -> Tensor:
        """For each image, the best of `images` and of the images that `gradient` has remembered."""
        fooled = misclassified(self.model(images), self.labels)
        return self._remember(images, fooled, self._score(images)).images

    def _remember(self, images: Tensor, fooled: Tensor, score: Tensor) -> _Best:
        now, old = _Best(images, fooled, score), self._best
        if old is not None:
            better = (fooled & ~old.fooled) | ((fooled == old.fooled) & (score > old.score))
            kept = torch.where(better.view(-1, 1, 1, 1), images, old.images)
            now = _Best(kept, fooled | old.fooled, torch.where(better, score, old.score))
        self._best = now
        return now


OBJECTIVES: dict[str, type[Objective]] = {"paper": Objective, "balanced": BalancedObjective}
