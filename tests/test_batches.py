"""However images reach their device, the batches are the same; which way they take depends on its memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dualperturb.core.images import ImageSet
from dualperturb.params.training import Augment
from dualperturb.training import batches
from dualperturb.training.batches import Batches, Drawn, ahead, resident, way, when_asked
from tests.simulated_cuda import simulated_cuda

CPU, GPU = torch.device("cpu"), torch.device("cuda")
WAYS = (when_asked, resident, ahead)
COUNT, SIDE = 37, 6


def arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, labels, masks."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (COUNT, 3, SIDE, SIDE), dtype=np.uint8)
    return images, np.arange(COUNT), random.random((COUNT, 1, SIDE, SIDE)) < 0.5


def draws(*chosen: list[int]) -> Iterator[Drawn]:
    for rows in chosen:
        yield Drawn(np.array(rows), np.zeros((3, len(rows)), np.int64), np.zeros(len(rows), np.int64), 1.0)


def made(monkeypatch: pytest.MonkeyPatch, path: Any, pad: int = 2) -> Batches:
    """Batches of 8 that take this path."""
    monkeypatch.setattr(batches, "way", lambda *_: path)
    images, labels, foreground = arrays()
    return Batches(ImageSet(images, labels, ("only",)), foreground, Augment(pad=pad, flip=True), 8, 5, CPU)


@pytest.mark.parametrize("path", WAYS)
def test_the_chosen_rows_of_every_array_in_their_order(path: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", arrays()[0])
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    chosen = [[3, 0, 36], [5], [1, 2], [36, 7]]
    found = list(path((mapped, *arrays()[1:]), CPU)(draws(*chosen)))
    assert [drawn.chosen.tolist() for drawn, _ in found] == chosen
    for rows, (_, tensors) in zip(chosen, found, strict=True):
        for tensor, array in zip(tensors, arrays(), strict=True):
            assert tensor.numpy().dtype == array.dtype and np.array_equal(tensor.numpy(), array[rows])


def test_a_split_larger_than_what_is_sent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "UPLOADED", 5)
    ((_, (images, *_)),) = resident(arrays(), CPU)(draws(list(range(COUNT))))
    assert np.array_equal(images.numpy(), arrays()[0])


def test_what_the_device_holds_is_not_read_again() -> None:
    images, labels, foreground = arrays()
    held, asked = (path((images, labels, foreground), CPU) for path in (resident, when_asked))
    images[:] = 0
    ((_, (one, *_)),), ((_, (other, *_)),) = held(draws([1, 2])), asked(draws([1, 2]))
    assert one.any() and not other.any()


def test_the_next_batch_is_gathered_while_this_one_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    gathered, threads, done = batches._gathered, [], threading.Event()

    def watched(arrays: Any, chosen: np.ndarray, pinned: bool) -> Any:
        threads.append(threading.current_thread())
        if chosen[0] == 1:
            done.set()
        return gathered(arrays, chosen, pinned)

    monkeypatch.setattr(batches, "_gathered", watched)
    supplied = ahead(arrays(), CPU)(draws([0], [1], [2]))
    next(supplied)
    assert done.wait(30), "the second, while the first is in use"
    assert len(threads) == 2 and threading.current_thread() not in threads, "and not the third"
    assert len(list(supplied)) == 2


def test_a_failed_gathering_is_told_and_an_epoch_left_early_leaves_no_thread() -> None:
    before = threading.active_count()
    supplied = ahead(arrays(), CPU)(draws([0], [1], [2]))
    next(supplied)
    supplied.close()
    assert threading.active_count() == before
    with pytest.raises(OSError, match="gone"):
        list(ahead((Gone(3),), CPU)(draws([0])))


class Gone(np.ndarray):
    """An array whose file cannot be read any more."""

    def take(self, *_: Any, **__: Any) -> Any:
        raise OSError("gone")


@pytest.mark.parametrize(
    ("device", "size", "free", "expected"),
    [
        (CPU, 10, 1000, when_asked),
        (CPU, 10, 0, when_asked),
        (GPU, 500, 1000, resident),
        (GPU, 501, 1000, ahead),
        (GPU, 10, 0, ahead),
    ],
)
def test_a_gpu_holds_what_takes_half_of_its_free_memory(
    device: torch.device, size: int, free: int, expected: Any
) -> None:
    assert way(size, device, free) is expected


def test_every_way_gives_the_same_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [list(made(monkeypatch, path).epoch(3)) for path in WAYS]
    assert len(found[0]) == len(made(monkeypatch, ahead)) == 5
    for first, *others in zip(*found, strict=True):
        for other in others:
            assert (first.seeds, first.share) == (other.seeds, other.share)
            assert all(torch.equal(one, two) for one, two in zip(first[:3], other[:3], strict=True))


@pytest.mark.parametrize("free", [2**33, 0], ids=["held there", "sent batch by batch"])
def test_a_card_gets_the_batches_of_a_cpu(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels, foreground = arrays()
    given = (ImageSet(images, labels, ("only",)), foreground, Augment(pad=2, flip=True), 8, 5)
    expected = list(Batches(*given, CPU).epoch(1))
    with simulated_cuda():
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free, free))
        found = list(Batches(*given, GPU).epoch(1))
        assert all(values.is_cuda for batch in found for values in batch[:3])
        for one, other in zip(found, expected, strict=True):
            assert all(torch.equal(a.cpu(), b) for a, b in zip(one[:3], other[:3], strict=True))
            assert one[3:] == other[3:]


def test_pixels_labels_and_masks_of_a_batch_belong_together(monkeypatch: pytest.MonkeyPatch) -> None:
    images, _, foreground = arrays()
    for batch in made(monkeypatch, when_asked, pad=0).epoch(0):
        assert (
            batch.images.dtype == torch.float32 and batch.share == 1 and len(batch.seeds) == len(batch.labels)
        )
        for image, label, mask in zip(batch.images, batch.labels, batch.foreground, strict=True):
            whole, own = torch.from_numpy(images[label]).float() / 255, torch.from_numpy(foreground[label])
            flipped = not torch.equal(image, whole)
            assert torch.equal(image, whole.flip(-1) if flipped else whole)
            assert torch.equal(mask, own.flip(-1) if flipped else own)
