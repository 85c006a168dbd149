"""The disk is asked for the pages of the chosen rows, and for nothing where no file lies under an array."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dualperturb.training import batches, prefetch
from dualperturb.training.batches import Drawn, ahead, when_asked

HEADER, PAGE = 128, mmap.PAGESIZE
CPU = torch.device("cpu")


class Recorded(mmap.mmap):
    """A map that notes what it is advised."""

    asked: list[tuple[int, int, int]]

    def madvise(self, option: int, start: int = 0, length: int = 0) -> None:
        self.asked.append((option, start, length))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """(advice, start, length) of all that maps opened from now on are advised."""
    noted: list[tuple[int, int, int]] = []
    monkeypatch.setattr(Recorded, "asked", noted, raising=False)
    monkeypatch.setattr(mmap, "mmap", Recorded)
    return noted


def mapped(folder: Path, values: np.ndarray) -> np.ndarray:
    np.save(folder / "values.npy", values)
    return np.load(folder / "values.npy", mmap_mode="r")


def pages(*starts_and_ends: tuple[int, int]) -> list[tuple[int, int, int]]:
    return [(mmap.MADV_WILLNEED, start, end - start) for start, end in starts_and_ends]


def test_the_pages_of_the_chosen_rows(asked: list[Any], tmp_path: Path) -> None:
    """Rows of 3,000 bytes behind a header of 128: from the start of the page on which each begins."""
    values = mapped(tmp_path, np.zeros((10, 3000), np.uint8))
    prefetch.prefetch(values, np.array([7, 0]))
    assert asked == pages(((HEADER + 21_000) // PAGE * PAGE, HEADER + 24_000), (0, HEADER + 3000))


@pytest.mark.parametrize(
    ("view", "row", "start", "length"),
    [
        (lambda values: values[5:], 2, 21_000, 3000),
        (lambda values: np.asarray(values)[5:], 2, 21_000, 3000),
        (lambda values: values[1::3], 2, 21_000, 3000),
        (lambda values: values[::-1], 2, 21_000, 3000),
        (lambda values: np.asarray(values).view(bool).reshape(10, 1, 3000), 7, 21_000, 3000),
        (lambda values: values[:, 100:150], 7, 21_100, 50),
    ],
    ids=["slice", "no memmap", "every third", "backwards", "another shape", "part of a row"],
)
def test_views_of_a_map(
    view: Any, row: int, start: int, length: int, asked: list[Any], tmp_path: Path
) -> None:
    prefetch.prefetch(view(mapped(tmp_path, np.zeros((10, 3000), np.uint8))), np.array([row]))
    start += HEADER
    assert asked == pages((start // PAGE * PAGE, start + length))


def test_a_map_that_begins_within_its_file(asked: list[Any], tmp_path: Path) -> None:
    offset = mmap.ALLOCATIONGRANULARITY + 10
    (tmp_path / "raw").write_bytes(bytes(offset + 20_000))
    values = np.memmap(tmp_path / "raw", np.uint8, "r", offset, (2, 10_000))
    prefetch.prefetch(values, np.array([1]))
    assert asked == pages((10_010 // PAGE * PAGE, 20_010))


def test_a_long_row_is_asked_for_in_pieces(asked: list[Any], tmp_path: Path) -> None:
    """Together they are the row; the kernel would cut a longer one short."""
    size = 5 * prefetch.PIECE // 2
    prefetch.prefetch(mapped(tmp_path, np.zeros((1, size), np.uint8)), np.array([0]))
    assert [(start, length) for _, start, length in asked] == [
        (0, prefetch.PIECE),
        (prefetch.PIECE, prefetch.PIECE),
        (2 * prefetch.PIECE, HEADER + size - 2 * prefetch.PIECE),
    ]


def test_other_arrays_are_left_alone(asked: list[Any], tmp_path: Path) -> None:
    values = mapped(tmp_path, np.zeros((10, 3, 4), np.uint8))
    for array in (np.array(values), values.transpose(0, 2, 1), values[:, :, ::2], np.zeros(10)[::2]):
        prefetch.prefetch(array, np.array([1, 2]))
    assert asked == []


def test_a_system_without_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.zeros((10, 3), np.uint8)
    monkeypatch.setattr(prefetch, "_map_under", lambda array: memoryview(array).cast("B"))
    prefetch.prefetch(values, np.array([1]))
    assert not values.any()


def test_advice_that_is_refused_does_no_harm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refused(*_: object) -> None:
        raise OSError("not here")

    monkeypatch.setattr(Recorded, "madvise", refused)
    monkeypatch.setattr(mmap, "mmap", Recorded)
    values = mapped(tmp_path, np.ones((10, 3), np.uint8))
    prefetch.prefetch(values, np.array([1]))
    assert values.all()


def test_the_real_advice_changes_no_value(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 256, (50, 3, 64, 64), dtype=np.uint8)
    found = mapped(tmp_path, values)
    prefetch.prefetch(found, np.arange(50))
    assert np.array_equal(found, values)


@pytest.mark.parametrize("path", [when_asked, ahead])
def test_a_batch_is_asked_of_the_disk_before_the_one_before_it_is_gathered(
    path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    class Watched(np.ndarray):
        def __getitem__(self, rows: Any) -> Any:
            done.append(f"gather {rows[0]}")
            return np.asarray(self)[rows]

        def take(self, rows: Any, *_: Any, **__: Any) -> Any:
            done.append(f"gather {rows[0]}")

    monkeypatch.setattr(batches, "prefetch", lambda _, rows: done.append(f"ask {rows[0]}"))
    array = np.zeros((9, 2), np.uint8).view(Watched)
    draws = [Drawn(np.array([row]), np.zeros((3, 1)), np.zeros(1), 1.0) for row in (4, 5, 6)]
    found = [drawn.chosen[0] for drawn, _ in path((array,), CPU)(draws)]
    assert found == [4, 5, 6]
    assert sorted(done) == sorted(f"{what} {row}" for row in (4, 5, 6) for what in ("ask", "gather"))
    for row in (4, 5):
        assert done.index(f"ask {row + 1}") < done.index(f"gather {row}")
