"""The objective of the dual-perturbation attack: a loss + salience_weight * S(x + delta), as in the paper.

The paper leaves the loss free. Where a classifier is confident, the gradient of cross-entropy all but
vanishes and that of S does not, so that a step of fixed length follows S alone, and the attack fails on
images that it fools with weight 0. The others of `losses` do not vanish there, and `constraint` puts a bound
in the sum's place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from dualperturb.core.balls import Ball
from dualperturb.core.gradient_copy import GradientCopy
from dualperturb.core.gradients import gradient_of
from dualperturb.core.losses import Loss, cross_entropy
from dualperturb.core.score import foreground_score
from dualperturb.core.shown import misclassified, shown

Saliency = Callable[[Tensor], Tensor]


class Standing(NamedTuple):
    """How good images are as an attack's result; in this order of weight, each (N,).

    success: bool, whether the attack may end with them. held: bool, whether they hold its constraint; true
    where it has none. value: of the objective.
    """

    success: Tensor
    held: Tensor
    value: Tensor

    def above(self, other: Standing) -> Tensor:
        """Whether these images are better than the others, bool (N,)."""
        higher = _first(self.held, other.held, self.value > other.value)
        return _first(self.success, other.success, higher)

    def only(self, rows: Tensor) -> Standing:
        return Standing(*(part[rows] for part in self))


def _first(one: Tensor, other: Tensor, otherwise: Tensor) -> Tensor:
    return (one & ~other) | ((one == other) & otherwise)


@dataclass
class Objective:
    """The paper's objective, for each image: loss + salience_weight * foreground score.

    labels: int64 (N,); foreground: bool (N, 1, H, W). With weight 0 the saliency model is never called, else
    once forward and once backward per step; with salience_every k only in every k-th step, and the steps
    between use its gradient again. climbed: the copy that the loss's gradient is taken of (see
    `gradient_copy`); None: it is taken of the model. loss: see `losses`. An object serves one run, because it
    counts the steps.
    """

    model: Callable[[Tensor], Tensor]
    labels: Tensor
    saliency: Saliency | None = None
    salience_weight: float = 0.0
    foreground: Tensor | None = None
    salience_every: int = 1
    climbed: Callable[[Tensor], Tensor] | None = None
    loss: Loss = cross_entropy
    _steps: int = field(default=0, init=False)
    _climb_score: Tensor | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.model = shown(self.model)

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) -> the objective (N,) and the logits (N, classes)."""
        loss, logits = self._loss(images)
        return (loss + self.salience_weight * self._score(images) if self.salience_weight else loss), logits

    def gradient(self, images: Tensor) -> Tensor:
        """The direction to climb at `images`, (N, C, H, W)."""
        climb_loss, _ = self.loss_gradient(images)
        if not self.salience_weight:
            return climb_loss
        return climb_loss + self.salience_weight * self._score_gradient(images)

    def step(self, images: Tensor, ball: Ball, share: float) -> Tensor:
        """The step from `images`, (N, C, H, W), by a share of the ball's radius."""
        return ball.ascend(self.gradient(images), share)

    def ascent(self, images: Tensor, ball: Ball, share: float) -> tuple[Tensor, Tensor]:
        """The direction of such a step, without a salience term, and the logits; both at `images`."""
        return self.loss_gradient(images)

    def plan(self, steps: int) -> list[float]:
        """For each step of a run, its length in step sizes."""
        return [1.0] * steps

    def standing(self, images: Tensor) -> Standing:
        """How good `images`, (N, C, H, W), are as a result."""
        value, logits = self(images)
        fooled = misclassified(logits, self.labels)
        return Standing(fooled, torch.ones_like(fooled), value)

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
        """The loss's gradient, and the logits, both of the copy if there is one, else of the model."""
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

    def _score_gradient(self, images: Tensor) -> Tensor:
        """The foreground score's gradient, or an older one where it is not due."""
        due = self._steps % self.salience_every == 0
        if due or self._climb_score is None:
            images = images.detach().requires_grad_(True)
            with torch.enable_grad():
                score = self._score(images)
                self._climb_score = gradient_of("saliency", score, images)
        self._steps += 1
        return self._climb_score

    def _loss(
        self, images: Tensor, climbed: Callable[[Tensor], Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        logits = (climbed or self.model)(images)
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return self.loss(wide, self.labels), logits

    def _score(self, images: Tensor) -> Tensor:
        assert self.saliency is not None and self.foreground is not None
        return foreground_score(self.saliency(images.clone()), self.foreground)  # it may change its copy
