"""APGD step by step: what is counted between checkpoints, and when the steps are halved (section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from dualperturb import L2, Linf
from dualperturb.attacks.apgd.run import RunState, _adapted, _stepped, climb
from dualperturb.attacks.apgd.task import Task, Visited


def point(place: float, value: float, fooled: bool = False) -> Visited:
    """A single pixel's."""
    delta = torch.full((1, 1, 1, 1), place)
    gradient, one = torch.ones_like(delta), torch.ones(1)
    held = torch.tensor([True])
    return Visited(delta, value * one, gradient, gradient[:, :0], 0 * one, held, torch.tensor([fooled]))


def progress(
    *, rises: int, best: float = 5.0, mark: float = 0.0, halved: bool = False, fooled: bool = False
) -> RunState:
    """An image at 0.1 with loss 3, whose best point is at 0.2; its steps move by the radius."""
    one = torch.ones(1)
    return RunState(
        now=point(0.1, 3.0, fooled),
        best=point(0.2, best),
        before=torch.full((1, 1, 1, 1), 0.15),
        share=one,
        rises=rises * one,
        halved=torch.tensor([halved]),
        mark=mark * one,
    )


@pytest.mark.parametrize(
    ("seen", "halves"),
    [
        pytest.param(progress(rises=4), False, id="more than three in four steps raised the loss"),
        pytest.param(progress(rises=3), True, id="three in four steps alone raised it"),
        pytest.param(progress(rises=0), True, id="no step raised it"),
        pytest.param(progress(rises=4, mark=5.0), True, id="the best is no better than a checkpoint ago"),
        pytest.param(progress(rises=4, mark=4.9), False, id="the best is better than a checkpoint ago"),
        pytest.param(progress(rises=4, mark=5.0, halved=True), False, id="no better, but halved just then"),
        pytest.param(progress(rises=3, mark=5.0, halved=True), True, id="halved just then, and few rises"),
        pytest.param(progress(rises=0, fooled=True), False, id="fooled"),
        pytest.param(progress(rises=4, mark=5.0, fooled=True), False, id="fooled, and no better"),
    ],
)
def test_a_checkpoint_halves_the_steps_and_goes_back_to_the_best_point(seen: RunState, halves: bool) -> None:
    """Looking back on four steps. What is counted begins anew, whether or not the steps were halved."""
    after = _adapted(seen, 4)
    assert after.halved.tolist() == [halves] and after.share.tolist() == [0.5 if halves else 1.0]
    assert after.now.delta.item() == pytest.approx(0.2 if halves else 0.1)
    assert after.now.value.tolist() == [3.0], "the next rise is one over the point that was left"
    assert after.rises.tolist() == [0] and after.mark.tolist() == [5.0]
    assert after.best.value.tolist() == [5.0] and torch.equal(after.before, seen.before)


def slope(images: Tensor) -> Tensor:
    """Class 1 gains with the brightness of the first pixel and never wins."""
    score = images.flatten(1)[:, 0] - 5
    return torch.stack([torch.zeros_like(score), score], dim=1)


def margin(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    return logits[:, 1] - logits[:, 0]


def task(ball: Linf | L2, pixels: int) -> Task:
    images, labels = torch.full((1, 1, 1, pixels), 0.5), torch.zeros(1, dtype=torch.int64)
    return Task(slope, margin, images, labels, labels, ball)


@pytest.mark.parametrize(
    ("share", "momentum", "place"),
    [
        pytest.param(0.2, 1.0, 0.1 + 0.1, id="along the gradient"),
        pytest.param(0.2, 0.75, 0.1 + 0.75 * 0.1 - 0.25 * 0.05, id="and a quarter of the last step"),
        pytest.param(2.0, 1.0, 0.5, id="not out of the ball"),
        pytest.param(2.0, 0.75, 0.1 + 0.75 * 0.4 - 0.25 * 0.05, id="nor aiming out of it"),
        pytest.param(0.0, 0.75, 0.1 - 0.25 * 0.05, id="back, where the last step goes on alone"),
    ],
)
def test_a_step_follows_the_gradient_and_the_last_step(share: float, momentum: float, place: float) -> None:
    """From 0.1, where a step from 0.15 led; the best loss so far was met at 0.12. The radius is 0.5."""
    it = task(Linf(0.5), 1)
    now, best = (it.look(torch.full((1, 1, 1, 1), met)) for met in (0.1, 0.12))
    seen = progress(rises=2)._replace(now=now, best=best, share=torch.tensor([share]))
    after = _stepped(it, seen, momentum)
    assert after.now.delta.item() == pytest.approx(place)
    assert after.now.value.item() == pytest.approx(0.5 + place - 5)
    assert after.best.delta.item() == pytest.approx(max(place, 0.12))
    assert after.before.item() == pytest.approx(0.1)
    assert after.rises.tolist() == [3 if place > 0.1 else 2]


class Begun(L2):
    """An L2 ball whose runs all begin at the same place."""

    def start(self, images: Tensor, seeds: Sequence[int]) -> Tensor:
        return torch.tensor([0.0, 0.1]).view(images.shape)


def test_the_first_step_is_twice_the_radius_and_follows_the_gradient_alone() -> None:
    """Algorithm 1, lines 3 and 6: in a ball of radius 0.2, where the gradient is along the first pixel."""
    it, met = task(Begun(0.2), 2), []

    def watched(pixels: Tensor) -> Tensor:
        met.append((pixels.detach() - 0.5).flatten())
        return slope(pixels)

    climb(replace(it, model=watched), 20, [0])

    def projected(delta: Tensor) -> Tensor:
        return 0.2 * delta / delta.norm()

    start, stride = torch.tensor([0.0, 0.1]), torch.tensor([0.4, 0.0])
    first = projected(start + stride)
    second = projected(first + 0.75 * (projected(first + stride) - first) + 0.25 * (first - start))
    torch.testing.assert_close(torch.stack(met[:3]), torch.stack([start, first, second]))
