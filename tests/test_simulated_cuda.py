"""The stand-in for a card refuses what a card refuses, and else leaves the CPU's numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.simulated_cuda import simulated_cuda


@pytest.fixture(autouse=True)
def card() -> Iterator[None]:
    with simulated_cuda():
        yield


def on_card(*shape: int) -> Tensor:
    return torch.arange(float(np.prod(shape)), device="cuda").reshape(shape)


def gradient() -> Tensor:
    pixels = on_card(2).requires_grad_()
    (found,) = torch.autograd.grad(pixels.exp().sum(), pixels)
    return found


MADE: dict[str, Callable[[], Tensor]] = {
    "named": lambda: torch.zeros(2, device="cuda"),
    "an array's": lambda: torch.as_tensor(np.zeros(2), device="cuda"),
    "sent": lambda: torch.zeros(2).to("cuda:0"),
    "sent in another type": lambda: torch.zeros(2).to("cuda", torch.float16),
    "sent where another is": lambda: torch.zeros(2).to(on_card(2)),
    "like another": lambda: torch.zeros_like(on_card(2)),
    "computed": lambda: on_card(2) * 2 + torch.tensor(1.0),
    "a view": lambda: on_card(2, 2).T[0],
    "made within a call": lambda: nn.functional.one_hot(on_card(2).long(), 3),
    "copied": lambda: copy.deepcopy(on_card(2)),
    "a module's": lambda: nn.Linear(2, 2).to("cuda").weight,
    "a gradient": gradient,
    "at positions of the host's": lambda: on_card(2)[torch.tensor([0, 1])],
}
REFUSED: dict[str, Callable[[], object]] = {
    "two devices": lambda: on_card(2) + torch.zeros(2),
    "the host's values at the card's positions": lambda: torch.zeros(2)[on_card(1).long()],
    "in NumPy": lambda: on_card(2).numpy(),
    "as an array": lambda: np.asarray(on_card(2)),
    "pinned": lambda: on_card(2).pin_memory(),
    "another device's generator": lambda: torch.rand(2, device="cuda", generator=torch.Generator()),
}


@pytest.mark.parametrize("make", MADE.values(), ids=MADE.keys())
def test_what_is_on_the_card_says_so(make: Callable[[], Tensor]) -> None:
    made = make()
    assert made.is_cuda and made.device == torch.device("cuda", 0)
    assert not made.cpu().is_cuda and made.cpu().device == torch.zeros(2).device == torch.device("cpu")


@pytest.mark.parametrize("do", REFUSED.values(), ids=REFUSED.keys())
def test_what_a_card_refuses(do: Callable[[], object]) -> None:
    with pytest.raises((RuntimeError, TypeError), match=r"device|pinned"):
        do()


def test_the_hosts_numbers_come_out() -> None:
    generator = torch.Generator("cuda").manual_seed(3)
    drawn = torch.rand(4, device="cuda", generator=generator)
    assert torch.equal(drawn.cpu(), torch.rand(4, generator=torch.Generator().manual_seed(3)))
    assert np.array_equal(np.asarray(on_card(3).square().cpu()), [0, 1, 4]) and on_card(3).tolist() == [
        0,
        1,
        2,
    ]


def test_a_copy_holds_garbage_until_it_is_waited_for() -> None:
    stream = torch.cuda.current_stream()
    first = on_card(2).to("cpu", non_blocking=True)
    event = stream.record_event()
    second = on_card(3).to("cpu", non_blocking=True)
    assert first.tolist() != [0, 1] and second.tolist() != [0, 1, 2]
    event.synchronize()
    assert first.tolist() == [0, 1] and second.tolist() != [0, 1, 2]
    on_card(1).item()  # waits for all that was to be done before
    assert second.tolist() == [0, 1, 2]


def test_a_mark_does_not_outlive_its_tensor() -> None:
    places = set()
    for _ in range(100):
        places.add(torch.zeros(7, device="cuda").data_ptr())
        assert not torch.zeros(7).is_cuda
    assert len(places) < 100, "memory was taken again"
