"""The adversaries of adversarial training: AT-PGD's and AT-Dual's, as `training.train` takes them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from dualperturb.attacks.objectives import Objective, Saliency
from dualperturb.attacks.pgd import perturb
from dualperturb.threat import L2, NORMS, Ball, Dual, Linf


@dataclass(frozen=True)
class ThreatModel:
    """Radii really applied, in pixels of [0, 1]: one for the whole image, or one a region.

    norm: "L2" or "Linf". eps_b None: plain PGD's threat model, with the single radius eps_f.
    """

    norm: str
    eps_f: float
    eps_b: float | None = None

    def ball(self, foreground: Tensor, share: float = 1.0) -> Ball:
        """The ball for images with these masks, bool (N, 1, H, W); `share` scales every radius."""
        norm: type[L2 | Linf] = NORMS[self.norm]
        if self.eps_b is None:
            return norm(share * self.eps_f)
        return Dual(norm(share * self.eps_f), norm(share * self.eps_b), foreground)


@dataclass(frozen=True)
class PgdAdversary:
    """Adversarial training's inner maximisation (Madry et al. 2018), with the threat model's ball.

    steps, step_size: as in `pgd`; saliency and salience_weight: the paper trains with weight 0.
    """

    threat: ThreatModel
    steps: int
    step_size: float
    saliency: Saliency | None = None
    salience_weight: float = 0.0

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
        objective = Objective(model, labels, self.saliency, self.salience_weight, foreground)
        ball = self.threat.ball(foreground, share)
        return perturb(objective, images, ball, steps=self.steps, step_size=self.step_size, seeds=seeds)
