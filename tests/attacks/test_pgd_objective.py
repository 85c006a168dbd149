"""The objective: a loss, and the foreground score with its weight."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualperturb import L2, Dual, foreground_score, nested_pgd, pgd
from dualperturb.core.losses import LOSSES
from dualperturb.core.objectives import Objective, Standing

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
    assert_plus_score(value, expected, images, foreground, brightness)


@pytest.mark.parametrize("name", LOSSES)
def test_the_score_is_added_to_any_loss(parts: Parts, brightness: Saliency, name: str) -> None:
    model, images, labels, foreground = parts()
    value, logits = Objective(model, labels, brightness, 3.0, foreground, loss=LOSSES[name])(images)
    assert_plus_score(value, LOSSES[name](logits, labels), images, foreground, brightness)


def assert_plus_score(
    value: Tensor, expected: Tensor, images: Tensor, foreground: Tensor, brightness: Saliency
) -> None:
    expected = expected + 3 * (brightness(images).exp()[:, None] * foreground).sum(dim=(1, 2, 3))
    torch.testing.assert_close(value, expected)


def test_float64_is_not_narrowed() -> None:
    """1e-12 in the logits is lost in float32."""
    label, logits = torch.zeros(1, dtype=torch.int64), torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    low, high = (Objective(lambda x, add=add: x + add * logits, label)(logits)[0] for add in (0, 1e-12))
    assert low.dtype == torch.float64 and high > low


@pytest.mark.parametrize("every", [1, 2, 3, 10])
def test_the_foreground_score_costs_one_forward_and_backward_in_every_so_many_steps(
    parts: Parts, brightness: Saliency, every: int
) -> None:
    model, images, labels, foreground = parts()
    with_gradient, without = [], []

    def counted(pixels: Tensor) -> Tensor:
        (with_gradient if pixels.requires_grad else without).append(1)
        return brightness(pixels)

    ball = Dual(L2(0.5), L2(2.0), foreground)
    settings = {"saliency": counted, "salience_weight": 1.0, "salience_every": every}
    pgd(model, images, labels, ball, steps=7, step_size=0.2, **settings)
    assert len(with_gradient) == math.ceil(7 / every)
    assert len(without) == 2, "one image's map, and the restart's value"


def test_a_gradient_used_again_is_the_one_before(parts: Parts, brightness: Saliency) -> None:
    model, images, labels, foreground = parts()
    objective = Objective(model, labels, brightness, 3.0, foreground, salience_every=2)
    moved = (images + 0.1).clamp(0, 1)
    alone = Objective(model, labels)
    scores = [objective.gradient(at) - alone.gradient(at) for at in (images, moved, moved)]
    torch.testing.assert_close(scores[1], scores[0])
    assert not torch.allclose(scores[2], scores[0])


def test_a_run_starts_with_a_gradient_of_its_own(parts: Parts, brightness: Saliency) -> None:
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
    settings = {"saliency": counted, "salience_weight": 1.0, "salience_every": 5}
    pgd(stubborn, images, labels, ball, steps=5, step_size=0.2, restarts=3, **settings)
    assert sum(calls) == 3


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(("name", "fools"), [("cross_entropy", False), ("margin", True), ("dlr", True)])
def test_a_classifier_that_is_very_sure_is_fooled_by_losses_that_do_not_saturate(
    parts: Parts, nested: bool, name: str, fools: bool
) -> None:
    model, images, _, _ = parts()
    labels = model(images).argmax(dim=1)

    def sure(pixels: Tensor) -> Tensor:
        return 1e5 * model(pixels)

    settings = {"steps": 20, "step_size": 0.25, "loss": name}
    (result,) = (
        nested_pgd(sure, images, labels, [L2(1.0)], **settings)
        if nested
        else [pgd(sure, images, labels, L2(1.0), **settings)]
    )
    assert result.success.all() == fools


def test_what_dlr_finds_does_not_hang_on_the_scale_of_the_logits(parts: Parts, brightness: Saliency) -> None:
    model, images, labels, foreground = parts()
    ball = Dual(L2(0.5), L2(2.0), foreground)

    def found(scale: float, loss: str) -> Tensor:
        term = {"saliency": brightness, "salience_weight": 1.0, "loss": loss}
        scaled = lambda pixels: scale * model(pixels)  # noqa: E731
        return pgd(scaled, images, labels, ball, steps=5, step_size=0.25, **term).images

    torch.testing.assert_close(found(1, "dlr"), found(64, "dlr"))
    assert not torch.allclose(found(1, "cross_entropy"), found(64, "cross_entropy"), atol=1e-3)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ((True, True, -5.0), (False, True, 9.0)),
        ((False, True, -5.0), (False, False, 9.0)),
        ((True, False, -5.0), (False, True, 9.0)),
        ((False, False, -4.0), (False, False, -5.0)),
        ((True, True, -4.0), (True, True, -5.0)),
    ],
)
def test_success_counts_before_the_constraint_and_the_constraint_before_the_value(
    better: tuple[bool, bool, float], worse: tuple[bool, bool, float]
) -> None:
    one, other = (Standing(*(torch.tensor([part]) for part in parts)) for parts in (better, worse))
    assert one.above(other).all() and not other.above(one).any() and not one.above(one).any()
