"""The constraint on the foreground score: what it promises, a case by hand, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dualperturb.core.balls import Dual
from dualperturb.core.losses import LOSSES
from dualperturb.core.norms import L2, Linf, NormBall
from dualperturb.core.pgd import pgd
from dualperturb.core.result import AttackResult
from dualperturb.errors import UserError
from dualperturb.saliency import foreground_score, saliency_model

SIDE = 12
BUILTIN = saliency_model("builtin")


def net() -> nn.Module:
    """Linear, and blind to the mean brightness, which would make one class likely by far."""
    torch.manual_seed(1)
    linear = nn.Linear(3 * SIDE * SIDE, 4, bias=False)
    linear.weight.data -= linear.weight.data.mean(dim=1, keepdim=True)
    return nn.Sequential(nn.Flatten(), linear).eval()


def batch(count: int = 4, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 3, SIDE, SIDE, generator=generator)
    foreground = torch.zeros(count, 1, SIDE, SIDE, dtype=torch.bool)
    foreground[:, :, 3:9, 3:9] = True
    return images, net()(images).argmax(dim=1), foreground


HALF = L2(0.5)


def attack(bound: Any, part: NormBall = HALF, steps: int = 6, **changes: Any) -> AttackResult:
    images, labels, foreground = batch()
    arguments = {"saliency": BUILTIN, "steps": steps, "step_size": 0.3, "min_foreground_score": bound}
    dual = Dual(part, type(part)(2 * part.radius), foreground)
    return pgd(net(), images, **({"ball": dual, "labels": labels} | arguments | changes))


@settings(max_examples=25)
@given(
    st.sampled_from([L2(0.3), L2(2.0), Linf(0.02)]),
    st.one_of(st.floats(0, 1), st.sampled_from(["clean", "clean-0.05", "clean+0.05"])),
    st.integers(1, 8),
    st.integers(1, 2),
    st.sampled_from(sorted(LOSSES)),
)
def test_feasible_means_that_the_score_holds_the_bound(
    ball: NormBall, bound: float | str, steps: int, restarts: int, loss: str
) -> None:
    images, labels, foreground = batch()
    found = attack(bound, ball, steps, restarts=restarts, loss=loss)
    clean, scores = (foreground_score(BUILTIN(some.double()), foreground) for some in (images, found.images))
    least = clean + float(bound.removeprefix("clean") or 0) if isinstance(bound, str) else bound
    assert found.feasible is not None and found.foreground_score is not None
    assert (scores >= least)[found.feasible].all()
    assert torch.allclose(found.foreground_score.double(), scores, atol=1e-6)
    assert (found.norms["foreground"] <= ball.radius * 1.001).all()
    assert (found.norms["background"] <= 2 * ball.radius * 1.001).all()
    assert (found.success == (net()(found.images).argmax(dim=1) != labels)).all()
    if bound in ("clean", "clean-0.05"):
        assert found.feasible.all(), "the image itself holds such a bound"


def test_a_bound_of_zero_is_the_plain_dual_attack() -> None:
    bounded, plain = attack(0), attack(None)
    assert torch.equal(bounded.images, plain.images) and torch.equal(bounded.success, plain.success)
    assert bounded.feasible is not None and bounded.feasible.all() and plain.feasible is None


def test_a_reserve_is_kept_where_the_ball_leaves_room_for_it() -> None:
    images, labels, foreground = batch()
    clean = foreground_score(BUILTIN(images), foreground)
    found = attack("clean+0.05", steps=20)
    assert found.feasible is not None and (found.feasible & found.success).any()
    assert (foreground_score(BUILTIN(found.images), foreground) >= clean + 0.05)[found.feasible].all()


def test_a_bound_that_comes_to_lie_above_1_is_no_error() -> None:
    found = attack("clean+0.9")
    assert found.feasible is not None and not found.feasible.any()


@pytest.mark.parametrize(("loss", "fools"), [("cross_entropy", False), ("margin", True), ("dlr", True)])
def test_under_a_constraint_too_a_sure_classifier_is_fooled_by_losses_that_do_not_saturate(
    loss: str, fools: bool
) -> None:
    images, labels, foreground = batch()
    model, ball = net(), Dual(L2(0.5), L2(1.0), foreground)
    given = {"steps": 10, "step_size": 0.3, "saliency": BUILTIN, "min_foreground_score": "clean"}
    found = pgd(lambda pixels: 1e5 * model(pixels), images, labels, ball, loss=loss, **given)
    assert found.success.any() == fools


def test_a_numbers_tensor_and_the_number_are_the_same_bound() -> None:
    assert torch.equal(attack(torch.full((4,), 0.5)).images, attack(0.5).images)


@pytest.mark.parametrize("bound", ["clean", torch.tensor([0.0, 0.5, 0.9, 0.0])])
def test_an_image_is_attacked_alike_alone_and_among_others(bound: str | Tensor) -> None:
    images, labels, foreground = batch()
    whole = attack(bound)
    for row in range(len(images)):
        part = slice(row, row + 1)
        ball = Dual(L2(0.5), L2(1.0), foreground[part])
        alone = pgd(
            net(),
            images[part],
            labels[part],
            ball,
            steps=6,
            step_size=0.3,
            indices=[row],
            saliency=BUILTIN,
            min_foreground_score=bound if isinstance(bound, str) else bound[part],
        )
        assert torch.allclose(alone.images, whole.images[part], atol=1e-4)


def brightness(images: Tensor) -> Tensor:
    """A saliency model: brighter is denser. Of two pixels the first has the sigmoid of the difference."""
    return images.sum(dim=1).flatten(1).log_softmax(dim=1).view(len(images), *images.shape[2:])


class BrightRight(nn.Module):
    """Class 1 where the right one of two pixels is brighter than 1 in the sum of its channels."""

    def forward(self, images: Tensor) -> Tensor:
        bright = images[:, :, 0, 1].sum(dim=1)
        return torch.stack((torch.ones_like(bright), bright), dim=1)


@pytest.mark.parametrize(("eps_f", "fooled"), [(0.3, True), (0.1, False)])
def test_two_pixels_by_hand(eps_f: float, fooled: bool) -> None:
    """To fool, the right pixel has to be brighter than 1; the left one, which may not be darker, can reach
    3 * (0.2 + eps_f): 1.5 or 0.9."""
    images = torch.tensor([0.2, 0.1]).expand(1, 3, 1, 2)
    foreground = torch.tensor([True, False]).view(1, 1, 1, 2)
    labels = torch.zeros(1, dtype=torch.int64)
    ball = Dual(Linf(eps_f), Linf(0.5), foreground)
    arguments: dict[str, Any] = {"steps": 20, "step_size": 0.2, "saliency": brightness}
    plain = pgd(BrightRight(), images, labels, ball, **arguments)
    held = pgd(BrightRight(), images, labels, ball, **arguments, min_foreground_score=0.5)
    assert plain.success.all() and foreground_score(brightness(plain.images), foreground) < 0.5
    assert held.feasible is not None and held.feasible.all() and held.success.tolist() == [fooled]
    left, right = held.images.sum(dim=1).flatten().tolist()
    assert left >= right and left <= 3 * (0.2 + eps_f) + 1e-6


def test_an_image_misclassified_as_it_is_comes_back_unchanged() -> None:
    images, labels, _ = batch()
    wrong = attack("clean", labels=(labels + 1) % 4)
    assert wrong.success.all() and torch.equal(wrong.images, images)


def test_several_models_hold_their_bounds_each() -> None:
    images, _, foreground = batch()
    found = attack("clean", saliency=[BUILTIN, brightness_of_side])
    for model in (BUILTIN, brightness_of_side):
        before, after = (foreground_score(model(some), foreground) for some in (images, found.images))
        assert (after >= before - 1e-6).all()
    assert found.success.any(), "else the images themselves would hold the bound"
    alone = attack("clean")
    scores = [foreground_score(brightness_of_side(some), foreground) for some in (images, alone.images)]
    assert (scores[1] < scores[0]).any(), "a model that is not climbed is not held"


def brightness_of_side(images: Tensor) -> Tensor:
    return brightness(4 * images)


@pytest.mark.parametrize("full", [True, False])
def test_without_a_region_the_score_is_a_matter_of_definition(full: bool) -> None:
    _, _, foreground = batch()
    ball = Dual(L2(2.0), L2(2.0), torch.full_like(foreground, full))
    found = attack(1.0, ball=ball, saliency=lambda images: BUILTIN(images) - 0.01)  # a mass of 0.99
    assert found.feasible is not None and found.feasible.tolist() == [full] * 4
    assert found.foreground_score is not None and found.foreground_score.tolist() == [float(full)] * 4
    assert found.success.all(), "nothing is to be held, or nothing can be"


NUMBER = (
    'accepted: a number from 0 to 1, "clean", or such as "clean-0.05" or "clean+0.05", '
    "or a tensor of numbers (N,)"
)


@pytest.mark.parametrize(
    ("bound", "changes", "line"),
    [
        (1.2, {}, f"min_foreground_score: found 1.2; {NUMBER}"),
        (float("nan"), {}, f"min_foreground_score: found nan; {NUMBER}"),
        (True, {}, f"min_foreground_score: found True; {NUMBER}"),
        ("clean+1.5", {}, f"min_foreground_score: found 'clean+1.5'; {NUMBER}"),
        ("clean0.1", {}, f"min_foreground_score: found 'clean0.1'; {NUMBER}"),
        ("clean+-0.1", {}, f"min_foreground_score: found 'clean+-0.1'; {NUMBER}"),
        ("clean-2", {}, f"min_foreground_score: found 'clean-2'; {NUMBER}"),
        (torch.rand(3), {}, f"min_foreground_score: found torch.float32 (3,); {NUMBER}"),
        (torch.tensor([0.5, 0.5, torch.nan, 0.5]), {}, f"min_foreground_score: found nan; {NUMBER}"),
        ("clean", {"saliency": None}, "min_foreground_score: a bound needs a saliency model and a Dual ball"),
        ("clean", {"saliency": []}, "min_foreground_score: a bound needs a saliency model and a Dual ball"),
        ("clean", {"ball": L2(1.0)}, "min_foreground_score: a bound needs a saliency model and a Dual ball"),
        ("clean", {"saliency": "builtin"}, "saliency: expected a saliency model, got str"),
        ("clean", {"saliency": [BUILTIN, 3]}, "saliency: expected a saliency model, got int"),
        (
            "clean",
            {"salience_weight": 1.0},
            "min_foreground_score: a bound takes the place of salience_weight",
        ),
        ("clean", {"salience_every": 2}, "salience_every: found 2; accepted with min_foreground_score: 1"),
        ("clean", {"saliency": torch.no_grad()(BUILTIN)}, "saliency: found no gradient"),
    ],
)
def test_a_mistake_is_one_line(bound: object, changes: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as caught:
        attack(bound, **changes)
    assert str(caught.value).startswith(line) and "\n" not in str(caught.value)
