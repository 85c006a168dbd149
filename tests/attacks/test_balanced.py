"""The balanced objective: strong first, unsuspicious where that costs nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dualperturb import L2, Dual, UserError, pgd
from dualperturb.core.objectives import BalancedObjective, Objective

SIDE = 8


class Confident(nn.Module):
    """Two classes by the mean of the background, so steep that cross-entropy has no gradient to speak of."""

    def __init__(self, foreground: Tensor, steepness: float = 60.0) -> None:
        super().__init__()
        self.background, self.steepness = ~foreground, steepness

    def forward(self, images: Tensor) -> Tensor:
        mean = (images * self.background).sum((1, 2, 3)) / (3 * self.background.sum((1, 2, 3)))
        margin = self.steepness * (mean - 0.5)
        return torch.stack([margin, -margin], dim=1)


def bright_is_salient(images: Tensor) -> Tensor:
    """A log density that looks where it is bright."""
    return torch.log_softmax(5 * images.mean(1).flatten(1), dim=1).view(len(images), SIDE, SIDE)


@pytest.fixture
def parts() -> tuple[Tensor, Tensor, Tensor]:
    images = torch.full((6, 3, SIDE, SIDE), 0.6)
    foreground = torch.zeros(6, 1, SIDE, SIDE, dtype=torch.bool)
    foreground[..., :4] = True
    images = torch.where(foreground, 0.4, images)
    return images, torch.zeros(6, dtype=torch.int64), foreground


def attack(parts: tuple[Tensor, Tensor, Tensor], objective: str, weight: float) -> tuple[int, float]:
    """Images fooled, and the mean foreground score of the examples."""
    images, labels, foreground = parts
    ball = Dual(L2(0.5), L2(3.0), foreground)
    result = pgd(
        Confident(foreground),
        images,
        labels,
        ball,
        steps=20,
        step_size=0.25,
        saliency=bright_is_salient,
        salience_weight=weight,
        objective=objective,
    )
    inside = bright_is_salient(result.images).exp() * foreground[:, 0]
    return int(result.success.sum()), float(inside.sum((1, 2)).mean())


def test_it_fools_what_weight_zero_fools_and_scores_higher(parts: tuple[Tensor, Tensor, Tensor]) -> None:
    plain, balanced = attack(parts, "paper", 0.0), attack(parts, "balanced", 10.0)
    assert plain[0] == balanced[0] == 6
    assert balanced[1] > plain[1] + 0.05


def test_with_weight_zero_both_are_the_same(parts: tuple[Tensor, Tensor, Tensor]) -> None:
    assert attack(parts, "paper", 0.0) == attack(parts, "balanced", 0.0)


def test_an_unfooled_image_follows_the_loss_until_it_is_given_up(
    parts: tuple[Tensor, Tensor, Tensor],
) -> None:
    images, labels, foreground = parts
    model = Confident(foreground, steepness=1.0)
    settings = (model, labels, bright_is_salient, 1.0, foreground)
    loss_only = Objective(model, labels).gradient(images, 0.0)
    early, late = (BalancedObjective(*settings).gradient(images, done) for done in (0.5, 0.9))
    assert torch.allclose(torch.sign(early), torch.sign(loss_only))
    assert not torch.allclose(early, late)


def test_the_best_of_all_images_met_is_returned(parts: tuple[Tensor, Tensor, Tensor]) -> None:
    images, labels, foreground = parts
    objective = BalancedObjective(Confident(foreground), labels, bright_is_salient, 1.0, foreground)
    fooled_dull, fooled_salient = images - 0.3 * ~foreground, images - 0.5 * ~foreground
    for met in (images, fooled_dull, fooled_salient, fooled_dull):
        objective.gradient(met, 0.0)
    assert torch.equal(objective.outcome(images), fooled_salient)


def test_unknown_objective_is_named(parts: tuple[Tensor, Tensor, Tensor]) -> None:
    with pytest.raises(UserError, match="objective: found 'bold', accepted are paper, balanced"):
        attack(parts, "bold", 1.0)
