"""The adversaries of adversarial training: AT-PGD's and AT-Dual's, as `training.train` takes them."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dualperturb.core.devices.memory import Portions
from dualperturb.core.devices.precision import compiles
from dualperturb.core.gradient_copy import GradientCopy, gradient_copy_of
from dualperturb.core.objectives import Objective, Saliency
from dualperturb.core.pgd import perturb
from dualperturb.core.threat_model import ThreatModel


@dataclass
class PgdAdversary:
    """Adversarial training's inner maximisation (Madry et al. 2018), with the threat model's ball.

    steps, step_size, precision: as in `pgd`; saliency and salience_weight: the paper trains with weight 0.
    compile: "off", or "auto" to compile the network that gives the gradients, where that pays (see
    `precision`). Where memory runs out, the batch is attacked in halves, with the same examples as result.
    """

    threat: ThreatModel
    steps: int
    step_size: float
    saliency: Saliency | None = None
    salience_weight: float = 0.0
    precision: str = "fp32"
    compile: str = "off"
    _model: nn.Module | None = field(default=None, init=False)
    _copy: GradientCopy | None = field(default=None, init=False)  # of that model, if it has one
    _to_compile: bool = field(default=False, init=False)
    _portions: Portions = field(default_factory=Portions, init=False)

    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        foreground: Tensor,
        seeds: list[int],
        share: float,
    ) -> Tensor:
        """Adversarial images (N, 3, H, W) in [0, 1], the budget scaled by `share`."""
        copied = self._refreshed(model, images)

        def attacked(part: slice) -> Tensor:
            if self._to_compile and copied is not None:
                # Here, so that a batch that does not fit is compiled for at the size of the portions that do.
                copied.compile_for(images[part])
                self._to_compile = False
            inside = foreground[part]
            return perturb(
                Objective(model, labels[part], self.saliency, self.salience_weight, inside, climbed=copied),
                images[part],
                self.threat.ball(inside, share),
                steps=self.steps,
                step_size=self.step_size,
                seeds=seeds[part],
            )

        return torch.cat(self._portions.run(attacked, len(images)))

    def _refreshed(self, model: nn.Module, images: Tensor) -> GradientCopy | None:
        """The model's copy with its present weights: made once, as tracing takes longer than a few steps."""
        if self._model is not model:
            self._model = model
            self._copy = gradient_copy_of(model, self.precision, images[:1])
            self._to_compile = compiles(self.compile, images.device)
            if self._to_compile:
                self._copy = self._copy or GradientCopy(model, images[:1], "fp32")
        elif self._copy is not None:
            self._copy.refresh()
        return self._copy
