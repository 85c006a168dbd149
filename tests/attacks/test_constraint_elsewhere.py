"""The constraint on the foreground score in APGD, Dual-AutoAttack and nested PGD: the same promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dualperturb import L2, Dual, Linf, UserError, apgd, auto_attack, nested_pgd, pgd
from dualperturb.attacks.apgd import Found
from dualperturb.attacks.apgd.task import Task
from dualperturb.attacks.auto import AutoResult
from dualperturb.attacks.losses import LOSSES
from dualperturb.core.bounded import constraint
from dualperturb.core.constraint import ConstrainedObjective
from dualperturb.core.norms import NormBall
from dualperturb.core.problem import Problem
from dualperturb.core.result import AttackResult
from dualperturb.saliency import foreground_score
from tests.attacks.test_constraint import BUILTIN, BrightRight, batch, brightness, net

Bound = float | str
BOUNDS = st.one_of(st.floats(0, 1), st.sampled_from(["clean", "clean-0.05", "clean+0.05"]))
SHARES = (0.3, 0.6, 1.0)  # of the radii: nested balls


def dual(part: NormBall, foreground: Tensor, share: float = 1.0) -> Dual:
    return Dual(type(part)(share * part.radius), type(part)(share * 2 * part.radius), foreground)


def auto(bound: Bound | None, part: NormBall, rows: Sequence[int] = range(4), **changes: Any) -> AutoResult:
    images, labels, foreground = (some[list(rows)] for some in batch())
    asked: dict[str, Any] = {"labels": labels, "saliency": BUILTIN, "indices": list(rows), "steps": 8}
    asked |= {"ball": dual(part, foreground), "targets": 2, "min_foreground_score": bound}
    return auto_attack(net(), images, **(asked | changes))


def nested(
    bound: Bound | None, part: NormBall, rows: Sequence[int] = range(4), **changes: Any
) -> list[AttackResult]:
    images, labels, foreground = (some[list(rows)] for some in batch())
    asked: dict[str, Any] = {"labels": labels, "saliency": BUILTIN, "indices": list(rows), "steps": 6}
    asked |= {"balls": [dual(part, foreground, share) for share in SHARES], "min_foreground_score": bound}
    return nested_pgd(net(), images, step_size=0.3, **(asked | changes))


def check(found: AttackResult, part: NormBall, bound: Bound, share: float = 1.0) -> None:
    images, labels, foreground = batch()
    clean, scores = (foreground_score(BUILTIN(some.double()), foreground) for some in (images, found.images))
    least = clean + float(bound.removeprefix("clean") or 0) if isinstance(bound, str) else bound
    assert found.feasible is not None and found.foreground_score is not None
    assert (scores >= least)[found.feasible].all()
    torch.testing.assert_close(found.foreground_score.double(), scores, atol=1e-6, rtol=0)
    assert (found.norms["foreground"] <= share * part.radius * 1.001).all()
    assert (found.norms["background"] <= share * 2 * part.radius * 1.001).all()
    assert (found.success == (net()(found.images).argmax(dim=1) != labels)).all()
    if bound in ("clean", "clean-0.05"):
        assert found.feasible.all(), "the image itself holds such a bound"


PARTS = st.sampled_from([L2(0.3), L2(2.0), Linf(0.02)])


@settings(max_examples=15)
@given(PARTS, BOUNDS)
def test_auto_attack_s_feasible_means_that_the_score_holds_the_bound(part: NormBall, bound: Bound) -> None:
    found = auto(bound, part)
    check(found, part, bound)
    assert found.feasible is not None
    assert [name != "none" for name in found.fooled_by] == (found.success & found.feasible).tolist()


@settings(max_examples=15)
@given(PARTS, BOUNDS, st.integers(1, 2))
def test_a_sweep_s_too_and_what_fools_within_the_bound_does_so_in_every_larger_ball(
    part: NormBall, bound: Bound, restarts: int
) -> None:
    before = torch.zeros(4, dtype=torch.bool)
    for share, found in zip(SHARES, nested(bound, part, restarts=restarts), strict=True):
        check(found, part, bound, share)
        assert found.feasible is not None
        both = found.success & found.feasible
        assert (both | ~before).all()
        before = both


def test_they_fool_within_the_bound_where_the_attack_without_it_leaves_it() -> None:
    part = L2(0.5)
    free = foreground_score(BUILTIN(auto(None, part).images), batch()[2])
    clean = foreground_score(BUILTIN(batch()[0]), batch()[2])
    assert (free < clean).any()
    for found in (auto("clean", part), nested("clean", part)[-1]):
        assert found.feasible is not None and (found.success & found.feasible & (free < clean)).any()


def test_a_bound_of_zero_is_the_attack_without() -> None:
    part = L2(0.3)
    pairs = zip([auto(0, part), *nested(0, part)], [auto(None, part), *nested(None, part)], strict=True)
    for bounded, plain in pairs:
        assert torch.equal(bounded.images, plain.images) and torch.equal(bounded.success, plain.success)
        assert bounded.feasible is not None and bounded.feasible.all() and plain.feasible is None


def test_an_image_is_attacked_alike_alone_and_among_others() -> None:
    part = L2(0.4)
    whole, sweep = auto("clean", part), nested("clean", part, restarts=2)
    for row in range(4):
        torch.testing.assert_close(auto("clean", part, [row]).images[0], whole.images[row], atol=1e-4, rtol=0)
        for alone, found in zip(nested("clean", part, [row], restarts=2), sweep, strict=True):
            torch.testing.assert_close(alone.images[0], found.images[row], atol=1e-4, rtol=0)


@pytest.mark.parametrize(("eps_f", "fooled"), [(0.3, True), (0.1, False)])
def test_two_pixels_by_hand(eps_f: float, fooled: bool) -> None:
    """As for `pgd`: to fool, the right pixel has to be brighter than 1, and the left one as bright."""
    images = torch.tensor([0.2, 0.1]).expand(1, 3, 1, 2)
    ball = Dual(Linf(eps_f), Linf(0.5), torch.tensor([True, False]).view(1, 1, 1, 2))
    labels = torch.zeros(1, dtype=torch.int64)
    asked: dict[str, Any] = {"steps": 20, "saliency": brightness, "min_foreground_score": 0.5}
    by_auto = auto_attack(BrightRight(), images, labels, ball, **asked)
    (by_sweep,) = nested_pgd(BrightRight(), images, labels, [ball], step_size=0.2, **asked)
    assert by_auto.fooled_by == (("apgd-ce",) if fooled else ("none",))
    for held in (by_auto, by_sweep):
        assert held.feasible is not None and held.feasible.all() and held.success.tolist() == [fooled]
        left, right = held.images.sum(dim=1).flatten().tolist()
        assert left >= right and left <= 3 * (0.2 + eps_f) + 1e-6


def test_an_image_misclassified_as_it_is_counts_as_fooled_only_if_it_holds_the_bound() -> None:
    part, images = L2(0.1), batch()[0]
    wrong: dict[str, Any] = {"labels": (batch()[1] + 1) % 4}
    held, missed = auto("clean", part, **wrong), auto(1, part, **wrong)
    assert held.fooled_by == ("clean",) * 4 and torch.equal(held.images, images)
    assert missed.fooled_by == ("none",) * 4 and missed.success.all()
    assert missed.feasible is not None and not missed.feasible.any()
    swept = nested("clean", part, **wrong)
    assert all(torch.equal(found.images, images) for found in swept)


def test_a_sweep_keeps_the_image_itself_where_what_withstood_a_larger_ball_misses_the_bound() -> None:
    """The two pixels again, and a right one that fools nowhere: the larger ball makes both bright, and in the
    smaller one the left pixel may hardly change."""
    images = torch.tensor([0.2, 0.1]).expand(1, 3, 1, 2)
    foreground = torch.tensor([True, False]).view(1, 1, 1, 2)
    balls = [Dual(Linf(eps_f), Linf(0.5), foreground) for eps_f in (0.01, 0.3)]

    def robust(pixels: Tensor) -> Tensor:
        return BrightRight()(pixels) + torch.tensor([9.0, 0.0])

    labels = torch.zeros(1, dtype=torch.int64)
    asked: dict[str, Any] = {"steps": 20, "step_size": 0.2, "saliency": brightness}
    small, large = nested_pgd(robust, images, labels, balls, min_foreground_score=0.5, **asked)
    assert large.images[0, 0, 0, 1] > 0.3 and large.feasible is not None and large.feasible.all()
    assert torch.equal(small.images, images) and small.feasible is not None and small.feasible.all()


def test_of_the_parts_that_fool_nothing_the_first_that_holds_the_bound_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, _, _ = batch()
    tries = iter([(0.99, [0, 1, 0, 0]), (0.995, [1, 1, 0, 0]), (1.0, [1, 1, 1, 0])])

    def scripted(problem: Problem, *_: Any, **__: Any) -> Found:
        shade, held = next(tries)
        return Found(shade * problem.images, torch.zeros(4).bool(), torch.tensor(held).bool())

    monkeypatch.setattr("dualperturb.attacks.auto.search", scripted)
    found = auto("clean", L2(9.0))
    kept = [0.995, 0.99, 1.0, 0.99]
    torch.testing.assert_close(found.images, images * torch.tensor(kept).view(4, 1, 1, 1))


def test_the_images_that_are_left_keep_the_best_that_they_met() -> None:
    images, labels, foreground = batch()
    bound = constraint([BUILTIN], images, foreground, "clean")
    objective = ConstrainedObjective(net(), labels, constraint=bound)
    objective.step(images, dual(L2(0.1), foreground), 0.1)
    last = objective.only(torch.tensor([2]))
    assert torch.equal(last.outcome(torch.zeros_like(images[:1])), images[2:3]), "black holds no bound"


def test_a_sweep_leaves_alone_what_it_has_fooled_within_the_bound() -> None:
    images, labels, foreground = batch()
    model, gradients = net(), [0]

    def counted(pixels: Tensor) -> Tensor:
        gradients[0] += len(pixels) if pixels.requires_grad else 0
        logits: Tensor = model(pixels)
        return logits

    asked = {"steps": 6, "step_size": 0.3, "saliency": BUILTIN, "min_foreground_score": "clean"}
    balls = [dual(L2(0.5), foreground, share) for share in SHARES]
    together = nested_pgd(counted, images, labels, balls, **asked)
    afresh = [pgd(model, images, labels, ball, **asked) for ball in balls]
    for ours, theirs in zip(together, afresh, strict=True):
        assert ours.success.sum() >= theirs.success.sum()
    assert together[-1].success.all() and gradients[0] < 3 * 6 * 4 / 2


@pytest.mark.parametrize("loss", LOSSES)
def test_apgd_keeps_the_image_itself_where_it_meets_none_better(loss: str) -> None:
    """In a ball so small that nothing fools; the score of a flipped image may only fall."""
    images, labels, foreground = batch()
    found = apgd(
        net(),
        images,
        labels,
        dual(L2(1e-3), foreground),
        loss=loss,
        steps=6,
        saliency=BUILTIN,
        min_foreground_score="clean",
    )
    assert found.feasible is not None and found.feasible.all() and not found.success.any()


@pytest.mark.parametrize(("empty", "order"), [(False, [1, 0, 2, 3]), (True, [3, 2, 1, 0])])
def test_what_holds_the_bound_is_worth_more_and_else_what_is_nearer_to_it(
    empty: bool, order: list[int]
) -> None:
    """The left of two pixels stays, the right one is the brighter the higher the loss; two of four are not
    brighter than the left one. Without foreground all miss the bound alike, and the loss decides."""
    images = torch.full((4, 3, 1, 2), 0.5)
    foreground = torch.tensor([not empty, False]).view(1, 1, 1, 2).expand(4, 1, 1, 2)
    bound = constraint([brightness], images, foreground, 0.5)
    labels, ball = torch.zeros(4, dtype=torch.int64), Dual(L2(9.0), L2(9.0), foreground)

    def gain(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        return logits[:, 1] - logits[:, 0]

    right = torch.tensor([-0.3, -0.1, 0.1, 0.4]).view(4, 1, 1).expand(4, 3, 1)
    delta = torch.stack((torch.zeros_like(right), right), dim=3)
    seen = Task(BrightRight(), gain, images, labels, labels, ball, bound).look(delta)
    assert seen.loss.shape == seen.score.shape == delta.shape
    assert seen.held.tolist() == [not empty, not empty, False, False]
    assert seen.value.argsort(descending=True).tolist() == order


MASK = batch()[2]
OTHER = [Dual(L2(0.1), L2(0.2), MASK), Dual(L2(0.2), L2(0.4), ~MASK)]


@pytest.mark.parametrize(
    ("attack", "changes", "line"),
    [
        (
            auto,
            {"min_foreground_score": 1.2},
            "min_foreground_score: found 1.2; accepted: a number",
        ),
        (auto, {"saliency": None}, "min_foreground_score: a bound needs a saliency model and a Dual ball"),
        (auto, {"ball": L2(0.1)}, "min_foreground_score: a bound needs a saliency model and a Dual ball"),
        (auto, {"saliency": torch.no_grad()(BUILTIN)}, "saliency: found no gradient"),
        (
            nested,
            {"min_foreground_score": "clear"},
            "min_foreground_score: found 'clear'; accepted: ",
        ),
        (nested, {"saliency": "builtin"}, "saliency: expected a saliency model, got str"),
        (nested, {"precision": "half"}, "precision: "),
        (
            nested,
            {"balls": OTHER, "around": [[], []]},
            "balls: found other balls or masks; accepted with",
        ),
        (nested, {"balls": [OTHER[0], L2(9.0)]}, "balls: found other balls or masks; accepted with"),
    ],
)
def test_a_mistake_is_one_line(attack: Any, changes: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError) as caught:
        attack("clean", L2(0.1), **changes)
    assert str(caught.value).startswith(line) and "\n" not in str(caught.value)
