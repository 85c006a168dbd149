"""The balanced objective: strong first, unsuspicious where that costs nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from dualperturb import L2, Dual, UserError, foreground_score, pgd
from dualperturb.core.objectives import (
    GIVE_UP,
    OBJECTIVES,
    SALIENCE_SHARE,
    BalancedObjective,
    Objective,
)
from dualperturb.core.pgd import perturb

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
    early, late = (BalancedObjective(*settings).gradient(images, done) for done in (GIVE_UP - 0.01, GIVE_UP))
    assert torch.allclose(torch.sign(early), torch.sign(loss_only))
    assert not torch.allclose(early, late)


def test_the_scores_direction_is_weighted_against_the_losss_region_by_region(
    parts: tuple[Tensor, Tensor, Tensor],
) -> None:
    images, labels, foreground = parts
    model, fooled = Confident(foreground, steepness=1.0), images - 0.3 * ~foreground
    found = BalancedObjective(model, labels, bright_is_salient, 4.0, foreground).gradient(fooled, 0.0)
    pixels = fooled.clone().requires_grad_(True)
    score = foreground_score(bright_is_salient(pixels), foreground)
    of_score = torch.autograd.grad(score.sum(), pixels)[0]
    of_loss = Objective(model, labels).gradient(fooled, 0.0)
    torch.testing.assert_close(
        found,
        of_unit_length(of_loss, foreground) + SALIENCE_SHARE * 4.0 * of_unit_length(of_score, foreground),
    )


def of_unit_length(gradient: Tensor, foreground: Tensor) -> Tensor:
    regions = (gradient * foreground, gradient * ~foreground)
    return sum(region / region.flatten(1).norm(dim=1).clamp_min(1e-9).view(-1, 1, 1, 1) for region in regions)


@dataclass(frozen=True)
class Recording(L2):
    """An L2 ball that keeps the shares of its radius that steps asked for."""

    shares: list[float] = field(default_factory=list)

    def ascend(self, gradient: Tensor, share: float) -> Tensor:
        self.shares.append(share)
        return super().ascend(gradient, share)


@pytest.mark.parametrize(("objective", "shorter"), [("paper", []), ("balanced", [0.2, 0.15, 0.1, 0.05])])
def test_as_many_ever_shorter_steps_follow(
    parts: tuple[Tensor, Tensor, Tensor], objective: str, shorter: list[float]
) -> None:
    images, labels, foreground = parts
    made = OBJECTIVES[objective]
    run = made(Confident(foreground), labels, bright_is_salient, 1.0, foreground)
    assert [done for done, _ in run.plan(4)] == [0.0, 0.25, 0.5, 0.75] + [1.0] * len(shorter)
    ball = Recording(0.5)
    perturb(run, images, ball, steps=4, step_size=0.2, seeds=range(6))
    assert ball.shares == pytest.approx([0.2] * 4 + shorter)


def test_the_best_of_all_images_met_is_returned(parts: tuple[Tensor, Tensor, Tensor]) -> None:
    images, labels, foreground = parts
    objective = BalancedObjective(Confident(foreground), labels, bright_is_salient, 1.0, foreground)
    fooled_dull, fooled_salient = images - 0.3 * ~foreground, images - 0.5 * ~foreground
    for met in (images, fooled_dull, fooled_salient, fooled_dull):
        objective.gradient(met, 0.0)
    assert torch.equal(objective.outcome(images), fooled_salient)


def test_the_last_image_counts_by_what_it_is(parts: tuple[Tensor, Tensor, Tensor]) -> None:
    """More salient than what fooled before, it is returned where it fools, too, and only there."""
    images, labels, foreground = parts
    model = Confident(foreground)
    fooled, salient = images - 0.3 * ~foreground, images + 0.5 * foreground
    for last, returned in ((salient, fooled), (salient - 0.3 * ~foreground, salient - 0.3 * ~foreground)):
        objective = BalancedObjective(model, labels, bright_is_salient, 1.0, foreground)
        objective.gradient(fooled, 0.0)
        assert torch.equal(objective.outcome(last), returned)


def test_unknown_objective_is_named(parts: tuple[Tensor, Tensor, Tensor]) -> None:
    with pytest.raises(UserError, match="objective: found 'bold', accepted are paper, balanced"):
        attack(parts, "bold", 1.0)
