"""Work that runs out of memory goes on in halves, loses nothing and says so in one line a halving."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dualperturb.attacks.adversary import PgdAdversary
from dualperturb.core.devices.memory import Portions, enough_memory, first_size, out_of_memory
from dualperturb.core.images import ImageSet
from dualperturb.core.threat_model import ThreatModel
from dualperturb.errors import UserError
from dualperturb.masks.splits import write_masks
from dualperturb.saliency.builtin import BuiltinSaliency

CPU, GPU = torch.device("cpu"), torch.device("cuda")
Capture = pytest.CaptureFixture[str]


def gpu_full() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def machine_full() -> None:
    torch.empty(1 << 50, dtype=torch.uint8)


def numpy_full() -> None:
    np.zeros(1 << 50, dtype=np.uint8)


def library_full() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def no_handle() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`")


def outside_the_allocator() -> None:
    raise torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be reported later")


def no_workspace() -> None:
    raise RuntimeError("GET was unable to find an engine to execute this computation")


def no_workspace_found() -> None:
    raise RuntimeError("FIND was unable to find an engine to execute this computation")


FULL = [
    gpu_full,
    machine_full,
    numpy_full,
    library_full,
    no_handle,
    outside_the_allocator,
    no_workspace,
    no_workspace_found,
]


class Work:
    """The numbers of a slice; runs out of memory above `room` of them."""

    def __init__(self, room: int, full: Callable[[], None] = gpu_full) -> None:
        self.room, self.full = room, full
        self.asked: list[tuple[int, int]] = []

    def __call__(self, part: slice) -> list[int]:
        self.asked.append((part.start, part.stop))
        if part.stop - part.start > self.room:
            self.full()
        return list(range(part.start, part.stop))


@pytest.mark.parametrize("full", FULL)
def test_what_is_done_stays_done_and_later_work_begins_smaller(
    capsys: Capture, full: Callable[[], None]
) -> None:
    portions, work = Portions(), Work(3, full)
    assert sum(portions.run(work, 10), []) == list(range(10))
    assert work.asked == [(0, 10), (0, 5), (0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]
    assert capsys.readouterr().out.splitlines() == [
        "out of memory with a batch of 10 images; going on with 5",
        "out of memory with a batch of 5 images; going on with 2",
    ]
    later = Work(3, full)
    assert sum(portions.run(later, 5, most=4), []) == list(range(5))
    assert later.asked == [(0, 2), (2, 4), (4, 5)]
    assert capsys.readouterr().out == ""


def test_memory_that_runs_out_in_the_middle_costs_no_image_done(capsys: Capture) -> None:
    work = Work(4)

    def filling(part: slice) -> list[int]:
        work.room = 4 if part.start < 8 else 1
        return work(part)

    assert sum(Portions("noisy copies").run(filling, 10, most=4), []) == list(range(10))
    assert work.asked == [(0, 4), (4, 8), (8, 10), (8, 9), (9, 10)]
    assert capsys.readouterr().out == "out of memory with a batch of 2 noisy copies; going on with 1\n"


def test_no_more_than_asked_and_nothing_for_nothing() -> None:
    work = Work(100)
    Portions().run(work, 5, most=2)
    assert work.asked == [(0, 2), (2, 4), (4, 5)]
    assert Portions().run(work, 0, most=2) == []


def test_one_image_that_does_not_fit_is_one_line(capsys: Capture) -> None:
    with pytest.raises(
        UserError, match=r"^out of memory with 1 of the images .*accepted: a device.*$"
    ) as caught:
        Portions().run(Work(0), 3)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out.splitlines() == ["out of memory with a batch of 3 images; going on with 1"]


@pytest.mark.parametrize(
    ("full", "said"),
    [
        (no_workspace, "GET was unable to find an engine to execute this computation"),
        (outside_the_allocator, "CUDA error: out of memory CUDA kernel errors might be reported later"),
    ],
)
def test_the_last_line_says_what_the_error_said(full: Callable[[], None], said: str) -> None:
    """For a convolution that no engine computes ends there, too, however much memory there is."""
    with pytest.raises(UserError) as caught:
        Portions().run(Work(0, full), 3)
    assert str(caught.value).endswith(f" ({said})")
    with pytest.raises(UserError) as caught, enough_memory("batch_size: found 8; accepted: less"):
        full()
    assert str(caught.value) == f"batch_size: found 8; accepted: less ({said})"


@pytest.mark.parametrize("error", [RuntimeError("shapes cannot be multiplied"), UserError("memory: no")])
def test_other_errors_are_raised_as_they_are(error: Exception) -> None:
    calls = []

    def work(part: slice) -> None:
        calls.append(part)
        raise error

    with pytest.raises(type(error)) as caught:
        Portions().run(work, 4)
    assert caught.value is error and len(calls) == 1
    assert not out_of_memory(error)


def test_what_the_work_held_is_gone_before_memory_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[weakref.ref[Tensor]] = []
    alive_when_freed: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: alive_when_freed.append(held[-1]() is not None))

    def work(part: slice) -> None:
        activations = torch.zeros(10)
        held.append(weakref.ref(activations))
        if part.stop - part.start > 2:
            gpu_full()

    Portions().run(work, 4)
    assert alive_when_freed == [False]


def test_a_body_that_cannot_be_divided_ends_in_the_line_given() -> None:
    for full in (gpu_full, machine_full, numpy_full):
        with (
            pytest.raises(UserError, match=r"^batch_size: found 8; accepted: less \(.*[a-z].*\)$"),
            enough_memory("batch_size: found 8; accepted: less"),
        ):
            full()
    with pytest.raises(RuntimeError, match="^other$"), enough_memory("never"):
        raise RuntimeError("other")


def test_auto_is_a_size_for_the_device_and_the_images() -> None:
    assert [first_size("auto", CPU, side) for side in (32, 96, 224, 5000)] == [128, 113, 20, 1]
    assert [first_size("auto", GPU, side) for side in (32, 224)] == [512, 512]
    assert first_size("auto", CPU, 32, copies=8) == 16 and first_size("auto", CPU, 224, copies=100) == 1
    assert first_size(7, CPU, 224, copies=100) == 7


class Cramped(nn.Module):
    """The model, with memory for so many images at a time."""

    def __init__(self, model: nn.Module, room: int) -> None:
        super().__init__()
        self.model, self.room = model, room
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.room:
            gpu_full()
        answers: Tensor = self.model(images)
        return answers


@pytest.mark.parametrize("threat", [ThreatModel("L2", 0.3, 1.5), ThreatModel("Linf", 0.05)])
def test_trainings_adversary_finds_the_same_in_halves(capsys: Capture, threat: ThreatModel) -> None:
    generator = torch.Generator().manual_seed(4)
    images = torch.rand(9, 3, 8, 8, generator=generator)
    foreground = torch.rand(9, 1, 8, 8, generator=generator) < 0.4
    labels, seeds = torch.arange(9) % 3, list(range(100, 109))
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3)).eval()
    whole, divided = PgdAdversary(threat, 4, 0.4), PgdAdversary(threat, 4, 0.4)
    expected = whole(model, images, labels, foreground, seeds, 0.7)
    cramped = Cramped(model, 3)
    for _ in range(2):
        found = divided(cramped, images, labels, foreground, seeds, 0.7)
        assert torch.allclose(found, expected, atol=1e-6) and not torch.equal(found, images)
    assert capsys.readouterr().out.splitlines() == [
        "out of memory with a batch of 9 images; going on with 4",
        "out of memory with a batch of 4 images; going on with 2",
    ]


def written(folder: Path, saliency: Any, batch_size: Any) -> list[bytes]:
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 16, 16), dtype=np.uint8)
    data = ImageSet(images, np.zeros(7, dtype=np.int64), ("a",))
    done: list[int] = []
    summary = write_masks(
        folder,
        "test",
        data,
        saliency,
        own=None,
        threshold="log",
        batch_size=batch_size,
        device=CPU,
        progress=lambda now, _: done.append(now),
    )
    assert done == sorted(set(done)) and done[-1] == 7
    return [repr(summary).encode(), *(path.read_bytes() for path in sorted(folder.iterdir()))]


def test_masks_are_the_same_in_halves(tmp_path: Path, capsys: Capture) -> None:
    whole = written(tmp_path / "whole", BuiltinSaliency(), "auto")
    assert capsys.readouterr().out == ""
    assert written(tmp_path / "halves", Cramped(BuiltinSaliency(), 2), 6) == whole  # type: ignore[arg-type]
    assert capsys.readouterr().out.splitlines() == [
        "out of memory with a batch of 6 images; going on with 3",
        "out of memory with a batch of 3 images; going on with 1",
    ]
