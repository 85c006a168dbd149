"""Restarts: each from its own start, and image by image the best one is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor, nn

from dualperturb import L2, Dual, Linf, nested_pgd, pgd
from dualperturb.core.seeds import image_seeds

Parts = Callable[..., tuple[nn.Module, Tensor, Tensor, Tensor]]
LOOKS = 2  # at a classifier that is new: whether it answers alike twice


@dataclass(frozen=True)
class Recording(L2):
    """An L2 ball that keeps the starts it gave."""

    starts: list[Tensor] = field(default_factory=list)

    def start(self, images: Tensor, seeds: Sequence[int]) -> Tensor:
        self.starts.append(super().start(images, seeds))
        return self.starts[-1]


@dataclass(frozen=True)
class Scripted(Linf):
    """A ball with a given start a restart, and steps too small to matter."""

    script: list[list[float]] = field(default_factory=list)
    rows: Tensor | None = None

    def start(self, images: Tensor, seeds: Sequence[int]) -> Tensor:
        starts = torch.tensor(self.script.pop(0))
        return (starts if self.rows is None else starts[self.rows]).view(images.shape)

    def only(self, rows: Tensor) -> Scripted:
        return replace(self, rows=rows)

    def ascend(self, gradient: Tensor, share: float, region: Tensor | None = None) -> Tensor:
        return torch.zeros_like(gradient)


def test_every_seed_and_restart_starts_elsewhere(parts: Parts) -> None:
    model, images, _, _ = parts(3)
    ball, labels = Recording(1e-3), model(images).argmax(dim=1)  # no image is fooled and drops out
    for seed in (0, 1):
        pgd(model, images, labels, ball, steps=1, step_size=0.1, restarts=3, seed=seed)
    flat = torch.cat(ball.starts).flatten(1)
    assert len(flat) == 18 and len(torch.unique(flat, dim=0)) == 18


def tower(images: Tensor) -> Tensor:
    """Label 0 below a brightness of 0.8; the brighter, the higher its cross-entropy."""
    score = 10 * (images.flatten(1)[:, 0] - 0.8)
    return torch.stack([torch.zeros_like(score), score], dim=1)


@pytest.mark.parametrize(
    ("starts", "kept", "success"),
    [
        pytest.param([0.0, 0.35, 0.45], 0.35, True, id="first success, though a later one climbs higher"),
        pytest.param([0.1, 0.25, 0.2], 0.25, False, id="no success: the highest objective"),
        pytest.param([0.4, -0.2, 0.1], 0.4, True, id="a later failure does not undo a success"),
        pytest.param([0.2, 0.1, 0.4], 0.4, True, id="a success in the last restart"),
        pytest.param([-0.4, -0.3, -0.35], -0.3, False, id="the highest, though below the clean image's"),
    ],
)
def test_restarts_keep_the_first_success_else_the_highest_objective(
    starts: list[float], kept: float, success: bool
) -> None:
    """The second image never succeeds and has its best start second: images do not share their fate."""
    ball = Scripted(
        0.5, script=[[start, other] for start, other in zip(starts, (0.0, 0.1, 0.05), strict=True)]
    )
    images, labels = torch.full((2, 1, 1, 1), 0.5), torch.zeros(2, dtype=torch.int64)
    result = pgd(tower, images, labels, ball, steps=1, step_size=0.1, restarts=3)
    assert result.images.flatten().tolist() == pytest.approx([0.5 + kept, 0.6])
    assert result.success.tolist() == [success, False]
    assert result.norms["image"].tolist() == pytest.approx([abs(kept), 0.1])


def crowd(images: Tensor) -> Tensor:
    """Twenty classes just below the label at a brightness of 0.5; above, they sink and one rises past."""
    above = images.flatten(1)[:, :1] - 0.5
    return torch.cat([0 * above, 10 * (above - 0.3), (-0.01 - 50 * above).expand(-1, 20)], dim=1)


def test_a_success_beats_a_failure_of_higher_objective() -> None:
    images, labels = torch.full((1, 1, 1, 1), 0.5), torch.zeros(1, dtype=torch.int64)
    doubt, success = crowd(images), crowd(images + 0.35)
    assert doubt.argmax() == 0 and success.argmax() == 1
    assert doubt.logsumexp(1) > success.logsumexp(1)
    for script in ([[0.0], [0.35]], [[0.35], [0.0]]):
        result = pgd(crowd, images, labels, Scripted(0.5, script=script), steps=1, step_size=0.1, restarts=2)
        assert result.images.item() == pytest.approx(0.85) and result.success.item()


def test_the_classifier_is_called_once_a_step_and_once_at_the_end(parts: Parts) -> None:
    model, images, labels, _ = parts(2)
    calls = []
    model.register_forward_hook(lambda *_: calls.append(None))
    pgd(model, images, labels, L2(0.1), steps=5, step_size=0.1, restarts=3)
    assert len(calls) == LOOKS + 3 * (5 + 1)


def test_what_a_restart_fooled_the_later_ones_leave_alone() -> None:
    seen: list[int] = []

    def watched(images: Tensor) -> Tensor:
        seen.append(len(images))
        return tower(images)

    ball = Scripted(0.5, script=[[0.4, 0.0], [9.0, 0.1], [9.0, 0.05]])
    images, labels = torch.full((2, 1, 1, 1), 0.5), torch.zeros(2, dtype=torch.int64)
    pgd(watched, images, labels, ball, steps=1, step_size=0.1, restarts=3)
    assert seen[LOOKS:] == [2, 2, 1, 1, 1, 1]


def test_in_a_sweep_only_what_still_stands_starts_again() -> None:
    """Three images: the first falls at once, the second never, the third in the second restart. Of the second
    the restart of highest loss is kept, as in `pgd`."""
    ball = Scripted(0.5, script=[[0.4, 0.0, 0.0], [9.0, 0.1, 0.45], [9.0, 0.05, 9.0]])
    images, labels = torch.full((3, 1, 1, 1), 0.5), torch.zeros(3, dtype=torch.int64)
    (result,) = nested_pgd(tower, images, labels, [ball], steps=1, step_size=0.1, restarts=3)
    assert result.images.flatten().tolist() == pytest.approx([0.9, 0.6, 0.95])
    assert result.success.tolist() == [True, False, True]


def test_a_smaller_ball_begins_where_the_larger_one_ended() -> None:
    """It has no start of its own to give. Each ball keeps the example that was found in it."""
    larger, smaller = Scripted(0.5, script=[[0.45, 0.4]]), Scripted(0.35, script=[])
    images, labels = torch.tensor([0.5, 0.4]).view(2, 1, 1, 1), torch.zeros(2, dtype=torch.int64)
    inner, outer = nested_pgd(tower, images, labels, [smaller, larger], steps=1, step_size=0.1)
    assert outer.success.tolist() == [True, False] and outer.images[0].item() == pytest.approx(0.95)
    assert inner.success.tolist() == [True, False] and inner.images[0].item() == pytest.approx(0.85)


def test_a_sweeps_starts_are_those_of_the_images_names() -> None:
    images, labels = torch.full((2, 1, 1, 1), 0.5), torch.zeros(2, dtype=torch.int64)
    ball, names = Recording(0.1), [7, 3]
    nested_pgd(tower, images, labels, [ball], steps=1, step_size=0.1, restarts=2, seed=5, indices=names)
    assert len(ball.starts) == 2
    for restart, start in enumerate(ball.starts):
        assert torch.equal(start, L2(0.1).start(images, image_seeds(5, names, restart)))


def test_balls_of_unlike_norms_are_left_to_the_caller() -> None:
    images, labels = torch.full((1, 1, 1, 1), 0.5), torch.zeros(1, dtype=torch.int64)
    mask = torch.ones(1, 1, 1, 1, dtype=torch.bool)
    settings = {"steps": 1, "step_size": 0.1}
    for small, large in (
        (L2(0.4), Linf(0.4)),
        (Dual(L2(0.1), L2(0.1), mask), L2(0.4)),
        (L2(0.2), Recording(0.1)),
    ):
        found = nested_pgd(tower, images, labels, [small, large], **settings)
        assert [len(result.success) for result in found] == [1, 1]
