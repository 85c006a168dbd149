"""What the loader and the result store do with a very large set: the measurements of `scale.py simulate`.

Where a rate is said to be of a core it is taken from the process's CPU time, so that other work on the
machine does not count; else from the clock. The allocator has its defaults; a stage keeps freed memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.lib.format import open_memmap
from scale_reading import BATCH, Row, asking, forget, ways_of_reading
from torch import Tensor, nn

from dualperturb.core.images import ImageSet, load_split, write_meta, write_split
from dualperturb.evaluation.measuring.scoring import AttackSettings
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.evaluation.sweeps.points import points, sweep
from dualperturb.files import read_csv, sha256, write_csv
from dualperturb.params.training import Augment
from dualperturb.saliency.center import CenterSaliency
from dualperturb.training.batches import Batches, TrainingBatch

CLASSES = 1000


def large_set(folder: Path, images: int, side: int, batches: int) -> Iterator[Row]:
    """The loader on a sparse file of the full size; some images are marked to see that offsets hold."""
    pixels = _sparse(folder, images, side)
    marked = np.unique(np.linspace(0, images - 1, min(256, images)).astype(np.int64))
    for index in marked:
        pixels[index, 0, 0, :4] = _bytes_of(index)
    del pixels
    yield "large set: images", images, ""
    yield "large set: size of its files", sum(file.stat().st_size for file in folder.iterdir()) / 1e9, "GB"
    used = sum(file.stat().st_blocks * 512 for file in folder.iterdir())
    yield "large set: disk that they take", used / 1e6, "MB"
    with _memory() as peak:
        begun = time.perf_counter()
        data = load_split(folder, "train")
        yield "large set: opening it", 1000 * (time.perf_counter() - begun), "ms"
        files = [folder / f"train.{name}.npy" for name in ("images", "foreground")]
        for name, asks in (("large set", True), ("large set, page faults", False)):
            forget([data.images, _masks(data)], files)
            with asking(asks):
                yield from _timed_batches(name, data, batches)
        found = sum((data.images[index, 0, 0, :4] == _bytes_of(index)).all() for index in marked)
        yield "large set: marked images found in their places", 100 * found / len(marked), "%"
    yield from _peaks("large set", peak)


def _bytes_of(index: int) -> np.ndarray:
    return np.frombuffer(int(index).to_bytes(4, "little"), np.uint8)


def dense_file(folder: Path, images: int, side: int, batches: int) -> Iterator[Row]:
    """Writing, checksums, and reading at random from the disk and from memory."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (BATCH, 3, side, side), dtype=np.uint8)
    masks = noise[:, :1] > 127
    rows = ((noise[i % BATCH], i % CLASSES, masks[i % BATCH]) for i in range(images))
    begun = time.perf_counter()
    entry = write_split(folder, "train", side, rows)
    taken = time.perf_counter() - begun
    write_meta(folder, class_names=[str(label) for label in range(CLASSES)], splits={"train": entry})
    files = [folder / f"train.{name}.npy" for name in ("images", "foreground")]
    size = sum(file.stat().st_size for file in files) / 1e6
    yield "dense file: size with masks", size / 1e3, "GB"
    yield "dense file: writing with checksums", size / taken, "MB/s"
    begun = time.perf_counter()
    sha256(files[0])
    yield "dense file: SHA-256", files[0].stat().st_size / 1e6 / (time.perf_counter() - begun), "MB/s"
    with _memory() as peak:
        data = load_split(folder, "train")
        for what, value, unit in ways_of_reading([data.images, _masks(data)], files):
            yield f"dense file, {what}", value, unit
        yield from _timed_batches("dense file", data, batches)
    yield from _peaks("dense file", peak)


def whole_epoch(folder: Path, images: int, side: int, sweep_points: int) -> Iterator[Row]:
    """Every image once through the loader, then through an evaluation and its tables.

    All pixels of an image are its label modulo 256, which neither a shift nor a mirror changes.
    """
    pixels = _sparse(folder, images, side)
    labels = np.load(folder / "train.labels.npy")
    for first in range(0, images, 100_000):
        pixels[first : first + 100_000] = (labels[first : first + 100_000] % 256)[:, None, None, None]
    del pixels
    data, right, seen = load_split(folder, "train"), 0, np.zeros(CLASSES, dtype=np.int64)
    with _memory() as peak:
        begun = time.process_time()
        for batch, classes, *_ in _batches(data, pad=1):
            right += int(((batch * 255).round() == (classes % 256).view(-1, 1, 1, 1)).all((1, 2, 3)).sum())
            seen += np.bincount(classes.numpy(), minlength=CLASSES)
        taken = time.process_time() - begun
    assert right == images and (seen == np.bincount(labels, minlength=CLASSES)).all(), "images were lost"
    yield f"whole epoch, {side}x{side}: images with their own labels", right, ""
    yield f"whole epoch, {side}x{side}: batches", images / taken, "images/s a core"
    yield from _peaks(f"whole epoch, {side}x{side}", peak)
    yield from _result_store(folder, data, sweep_points)


def _result_store(folder: Path, data: ImageSet, count: int) -> Iterator[Row]:
    """Random norms and scores in place of zeros, since it is their digits that fill the file."""
    settings = AttackSettings(steps=1, step_size=1.0, restarts=1, batch_size=500, seed=0)
    everyone, random = np.arange(len(data)), np.random.default_rng(0)
    subject = Subject(_Dull(), data, _masks(data), everyone, CenterSaliency(), torch.device("cpu"))
    panel = points("eps", (0.0,), 0.0, 0.0, 0.0, "cross_entropy")
    with _memory() as peak:
        begun = time.process_time()
        rows, table = sweep(subject, panel, "L2", lambda value: value, settings)
        yield "results: tables of clean images", len(data) / (time.process_time() - begun), "images/s a core"
        for name in ("foreground_norm", "background_norm", "foreground_score"):
            table[name] = random.random(len(table), dtype=np.float32)
        tables = pd.concat([table.assign(value=float(point)) for point in range(count)], ignore_index=True)
        begun = time.process_time()
        write_csv(folder / "images.csv", tables)
        yield "results: rows of the table of images", len(tables), ""
        yield "results: writing it", time.process_time() - begun, "s"
        size = (folder / "images.csv").stat().st_size
        yield "results: its size", size / 1e6, "MB"
        yield "results: bytes a row", size / len(tables), ""
        yield "results: memory of its columns", tables.memory_usage(deep=True).sum() / 1e6, "MB"
        del table, tables
        begun = time.process_time()
        found = read_csv(folder / "images.csv")
        yield "results: reading it", time.process_time() - begun, "s"
    assert len(found) == count * len(data), "rows were lost"
    yield from _peaks("results", peak)
    write_csv(folder / "results.csv", rows)
    yield "results: results.csv of one point", (folder / "results.csv").stat().st_size, "bytes"


class _Dull(nn.Module):
    """A classifier that costs nothing."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :1] * torch.ones(CLASSES)


def _sparse(folder: Path, images: int, side: int) -> np.ndarray:
    """A prepared folder whose arrays are all holes; returns its images, writable."""
    np.save(folder / "train.labels.npy", np.arange(images, dtype=np.int64) % CLASSES)
    open_memmap(folder / "train.foreground.npy", "w+", np.bool_, (images, 1, side, side))
    names = [str(label) for label in range(CLASSES)]
    write_meta(folder, class_names=names, splits={"train": {"count": images}})
    return open_memmap(folder / "train.images.npy", "w+", np.uint8, (images, 3, side, side))


def _timed_batches(what: str, data: ImageSet, batches: int) -> Iterator[Row]:
    begun = time.process_time()
    np.split(np.random.default_rng(0).permutation(len(data)), range(BATCH, len(data), BATCH))
    yield f"{what}: shuffling", 1000 * (time.process_time() - begun), "ms"
    stream = _batches(data, pad=16)
    next(stream)
    begun, clock = time.process_time(), time.perf_counter()
    done = sum(len(labels) for _, labels, *_ in islice(stream, batches))
    yield f"{what}: batches", done / (time.process_time() - begun), "images/s a core"
    yield f"{what}: batches, by the clock", done / (time.perf_counter() - clock), "images/s"


def _batches(data: ImageSet, pad: int) -> Iterator[TrainingBatch]:
    augment = Augment(pad=pad, flip=True)
    return Batches(data, _masks(data), augment, BATCH, 0, torch.device("cpu")).epoch(0)


def _masks(data: ImageSet) -> np.ndarray:
    assert data.foreground is not None
    return data.foreground


@contextmanager
def _memory() -> Iterator[dict[str, float]]:
    """The highest resident memory meanwhile, looked at a hundred times a second."""
    peak, done = memory(), threading.Event()

    def look() -> None:
        while not done.wait(0.01):
            peak.update({name: max(peak[name], value) for name, value in memory().items()})

    watch = threading.Thread(target=look)
    watch.start()
    try:
        yield peak
    finally:
        done.set()
        watch.join()


def memory() -> dict[str, float]:
    """RssAnon and VmRSS of this process, MB: without and with the pages of mapped files."""
    lines = (line.split() for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return {words[0][:-1]: int(words[1]) / 1024 for words in lines if words[0] in ("RssAnon:", "VmRSS:")}


def _peaks(what: str, peak: dict[str, float]) -> Iterator[Row]:
    yield f"{what}: peak memory, anonymous", peak["RssAnon"], "MB"
    yield f"{what}: peak memory, with mapped files", peak["VmRSS"], "MB"
