"""The objective: cross-entropy, and the foreground score with its weight."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualperturb import L2, Dual, foreground_score, pgd
from dualperturb.core.objectives import Objective

Parts = Callable[..., tuple[nn.Module, Tensor, Tensor, Tensor]]
Saliency = Callable[[Tensor], Tensor]


def test_salience_weight_zero_never_calls_the_saliency_model(parts: Parts) -> None:
    model, images, labels, foreground = parts(2)

    def refuses(_: Tensor) -> Tensor:
        raise AssertionError("the saliency model was called")

    ball = Dual(L2(0.5), L2(1.0), foreground)
    plain = pgd(model, images, labels, ball, steps=2, step_size=0.5)
    given_one = pgd(
        model, images, labels, ball, steps=2, step_size=0.5, saliency=refuses, salience_weight=0.0
    )
    assert torch.equal(plain.images, given_one.images)
    with pytest.raises(AssertionError, match="was called"):
        pgd(model, images, labels, ball, steps=2, step_size=0.5, saliency=refuses, salience_weight=1.0)


def test_salience_weight_raises_the_foreground_score(parts: Parts, brightness: Saliency) -> None:
    model, images, labels, foreground = parts()
    ball = Dual(L2(0.5), L2(2.0), foreground)

    def score(weight: float) -> Tensor:
        result = pgd(
            model, images, labels, ball, steps=10, step_size=0.2, saliency=brightness, salience_weight=weight
        )
        return foreground_score(brightness(result.images), foreground)

    low, middle, high = score(0.0), score(1.0), score(100.0)
    assert (high > low + 0.02).all()
    assert low.mean() < middle.mean() < high.mean()


def test_the_objective_is_cross_entropy_plus_weighted_score(parts: Parts, brightness: Saliency) -> None:
    model, images, labels, foreground = parts()
    value, logits = Objective(model, labels, brightness, 3.0, foreground)(images)
    expected = -logits.log_softmax(dim=1)[range(len(labels)), labels]
    expected = expected + 3 * (brightness(images).exp()[:, None] * foreground).sum(dim=(1, 2, 3))
    torch.testing.assert_close(value, expected)


def test_float64_is_not_narrowed() -> None:
    """1e-12 in the logits is lost in float32."""
    label, logits = torch.zeros(1, dtype=torch.int64), torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    low, high = (Objective(lambda x, add=add: x + add * logits, label)(logits)[0] for add in (0, 1e-12))
    assert low.dtype == torch.float64 and high > low


@pytest.mark.parametrize("objective", ["paper", "balanced"])
@pytest.mark.parametrize("every", [1, 2, 3, 10])
def test_the_foreground_score_costs_one_forward_and_backward_in_every_so_many_steps(
    parts: Parts, brightness: Saliency, objective: str, every: int
) -> None:
    model, images, labels, foreground = parts()
    with_gradient, without = [], []

    def counted(pixels: Tensor) -> Tensor:
        (with_gradient if pixels.requires_grad else without).append(1)
        return brightness(pixels)

    ball = Dual(L2(0.5), L2(2.0), foreground)
    settings = {"saliency": counted, "salience_weight": 1.0, "objective": objective, "salience_every": every}
    pgd(model, images, labels, ball, steps=7, step_size=0.2, **settings)
    steps = 7 if objective == "paper" else 14
    assert len(with_gradient) == math.ceil(steps / every)
    looks = 2 if objective == "paper" else 3
    assert len(without) == looks, "one image's map, the restart's value, and balanced's last look"


def test_a_gradient_used_again_is_the_one_before(parts: Parts, brightness: Saliency) -> None:
    model, images, labels, foreground = parts()
    objective = Objective(model, labels, brightness, 3.0, foreground, salience_every=2)
    moved = (images + 0.1).clamp(0, 1)
    alone = Objective(model, labels)
    scores = [objective.gradient(at, 0.0) - alone.gradient(at, 0.0) for at in (images, moved, moved)]
    torch.testing.assert_close(scores[1], scores[0])
    assert not torch.allclose(scores[2], scores[0])


@pytest.mark.parametrize("objective", ["paper", "balanced"])
def test_a_run_starts_with_a_gradient_of_its_own(parts: Parts, brightness: Saliency, objective: str) -> None:
    """Restarts are runs of their own: the second does not use the first's gradient."""
    _, images, labels, foreground = parts()
    calls = []

    def stubborn(pixels: Tensor) -> Tensor:
        """Never fooled, so that no image drops out."""
        return F.one_hot(labels, 10) * 9 + pixels.mean((1, 2, 3)).unsqueeze(1)

    def counted(pixels: Tensor) -> Tensor:
        calls.append(pixels.requires_grad)
        return brightness(pixels)

    ball = Dual(L2(0.5), L2(2.0), foreground)
    settings = {"saliency": counted, "salience_weight": 1.0, "objective": objective, "salience_every": 5}
    pgd(stubborn, images, labels, ball, steps=5, step_size=0.2, restarts=3, **settings)
    assert sum(calls) == 3 * (1 if objective == "paper" else 2), "a run of balanced has twice the steps"
