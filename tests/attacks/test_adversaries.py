"""The adversaries of training: the same attack as `pgd`, with the budget scaled."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from dualperturb import L2, Dual, Linf, pgd
from dualperturb.attacks.adversary import PgdAdversary
from dualperturb.core.seeds import image_seeds
from dualperturb.core.threat_model import ThreatModel

Parts = Callable[..., tuple[nn.Module, Tensor, Tensor, Tensor]]
FOREGROUND = torch.tensor([True, False]).view(1, 1, 1, 2)


def test_the_threat_model_builds_the_ball_it_names() -> None:
    assert ThreatModel("L2", 2.0).ball(FOREGROUND) == L2(2.0)
    assert ThreatModel("Linf", 0.1).ball(FOREGROUND, share=0.5) == Linf(0.05)
    ball = ThreatModel("L2", 2.0, 20.0).ball(FOREGROUND, share=0.25)
    assert isinstance(ball, Dual) and ball.foreground is FOREGROUND
    assert (ball.inside, ball.outside) == (L2(0.5), L2(5.0))


def test_regions_may_have_norms_of_their_own(parts: Parts) -> None:
    threat = ThreatModel("L2", 0.05, 1.5, "Linf")
    ball = threat.ball(FOREGROUND, share=0.5)
    assert isinstance(ball, Dual) and (ball.inside, ball.outside) == (Linf(0.025), L2(0.75))
    model, images, labels, foreground = parts()
    adversary = PgdAdversary(threat, steps=4, step_size=0.5)
    delta = adversary(model, images, labels, foreground, list(range(len(images))), 1.0) - images
    inside, outside = (delta * region for region in (foreground, ~foreground))
    assert 0.04 < inside.abs().max() <= 0.05 * (1 + 1e-5)
    assert outside.abs().max() > 0.06 and (outside.flatten(1).norm(dim=1) <= 1.5 * (1 + 1e-5)).all()


def test_a_background_budget_of_zero_is_not_plain_pgd() -> None:
    ball = ThreatModel("Linf", 0.1, 0.0).ball(FOREGROUND)
    assert isinstance(ball, Dual) and ball.outside == Linf(0.0)


@pytest.mark.parametrize(
    "threat", [ThreatModel("L2", 1.0), ThreatModel("L2", 0.3, 1.5), ThreatModel("Linf", 0.05, 0.1)]
)
def test_it_finds_what_pgd_finds_from_the_same_seeds(parts: Parts, threat: ThreatModel) -> None:
    model, images, labels, foreground = parts()
    adversary = PgdAdversary(threat, steps=4, step_size=0.3)
    found = adversary(model, images, labels, foreground, image_seeds(6, range(len(images)), 0), 1.0)
    expected = pgd(model, images, labels, threat.ball(foreground), steps=4, step_size=0.3, seed=6)
    assert torch.equal(found, expected.images)
    assert not found.requires_grad and model[0].weight.grad is None


def test_the_share_scales_the_budget_of_both_regions(parts: Parts) -> None:
    model, images, labels, foreground = parts()
    adversary = PgdAdversary(ThreatModel("L2", 0.2, 1.0), steps=4, step_size=0.5)
    seeds = list(range(len(images)))

    def norms(share: float) -> dict[str, Tensor]:
        found = adversary(model, images, labels, foreground, seeds, share)
        return Dual(L2(1.0), L2(1.0), foreground).norms(found - images)

    for share in (1.0, 0.25):
        spent = norms(share)
        assert (spent["foreground"] <= 0.2 * share * (1 + 1e-4)).all()
        assert (spent["background"] <= 1.0 * share * (1 + 1e-4)).all()
        assert spent["foreground"].max() > 0.15 * share and spent["background"].max() > 0.75 * share
    assert not any(norm.any() for norm in norms(0.0).values())


def test_the_salience_weight_is_passed_on(parts: Parts, brightness: Callable[[Tensor], Tensor]) -> None:
    model, images, labels, foreground = parts()
    threat, seeds = ThreatModel("L2", 0.3, 1.5), image_seeds(0, range(len(images)), 0)
    adversary = PgdAdversary(threat, 3, 0.5, saliency=brightness, salience_weight=50.0)
    found = adversary(model, images, labels, foreground, seeds, 1.0)
    expected = pgd(
        model, images, labels, threat.ball(foreground), steps=3, step_size=0.5,
        saliency=brightness, salience_weight=50.0,
    )  # fmt: skip
    assert torch.equal(found, expected.images)
    plain = PgdAdversary(threat, 3, 0.5)(model, images, labels, foreground, seeds, 1.0)
    assert not torch.equal(found, plain)
