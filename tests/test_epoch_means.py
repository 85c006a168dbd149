from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from dualperturb.errors import UserError
from dualperturb.training.epoch_means import EpochMeans, read


def batches(losses: list[float], asked: list[float]) -> Iterator[Tensor]:
    """For each loss the numbers of a batch of 4 images, 3 of them right; `asked`: what was made so far."""
    for loss in losses:
        asked.append(loss)
        yield torch.tensor([loss, 3, 4], dtype=torch.float64)


@pytest.mark.parametrize("behind", [0, 1, 2, 9])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_all_numbers_come_in_their_order_so_many_batches_late(behind: int, count: int) -> None:
    losses, asked = [float(number) for number in range(count)], list[float]()
    found, made = [], []
    for numbers in read(batches(losses, asked), behind):
        found.append(numbers)
        made.append(len(asked))
    assert found == [[loss, 3, 4] for loss in losses]
    assert made == [min(number + 1 + behind, count) for number in range(count)]


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("behind", [0, 1])
def test_a_loss_that_is_not_finite_is_named_by_its_own_batch(behind: int, value: float) -> None:
    means, asked = EpochMeans(2), list[float]()
    with pytest.raises(
        UserError, match=rf"^training: the loss became {value} in epoch 3, batch 2; a smaller"
    ):
        for numbers in read(batches([1, value, 1, 1], asked), behind):
            means.add(*numbers)
    assert len(asked) == 2 + behind


def test_means_are_taken_over_images() -> None:
    means = EpochMeans(0)
    means.add(1.0, 1, 4)
    means.add(4.0, 2, 2)
    assert (means.batches, means.loss, means.accuracy) == (2, 2.0, 0.5)
