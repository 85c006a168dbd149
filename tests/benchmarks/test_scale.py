"""The arithmetic of the estimate against an example worked by hand, and the simulation on tiny images."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from typer.testing import CliRunner

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def scale(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("scale")


@pytest.fixture
def formulas(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("scale_estimate")


def test_estimate_agrees_with_an_example_worked_by_hand(formulas: ModuleType) -> None:
    """1,000 images of 10x10 pixels, 3 epochs of 4 steps on 2 GPUs, 5 images a batch, 10 passes a second.

    100 updates an epoch, each 5 * (4 + 1) / 10 = 2.5 s; a million weights send 2 * 1/2 * 4 MB = 4 MB, at
    0.008 GB/s half a second: 3 s, of which a sixth; plain training: 0.5 + 0.5 s. 3 * 100 * 3 s = 0.25 h.
    An attack's step of half the work: 5 * (4/2 + 1) / 10 + 0.5 = 2 s, so 600 s = 1/6 h.
    """
    network = formulas.Network(1_000_000, 2000, 1e6, forward=1.0, training=4.0, attack=2.0)
    run = formulas.Run(
        images_per_second=10,
        price_per_hour=6,
        gpus=2,
        images=1000,
        test_images=18,
        side=10,
        epochs=3,
        steps=4,
        batch_size=5,
        link=0.008,
        evaluation_steps=20,
    )
    rows = formulas.estimate(run, network, formulas.Panels(points=7, attacked=5, classifiers=2))
    found = {what: value for what, value, _ in rows}
    expected = {
        "images, uint8": 3e5 / 1e9,
        "masks, a byte a pixel": 1e5 / 1e9,
        "masks, a bit a pixel": 12_500 / 1e9,
        "log densities, float16": 2e5 / 1e9,
        "read in an epoch": 4e5 / 1e9,
        "updates an epoch": 100,
        "an update": 3.0,
        "gradients a GPU sends an update": 4.0,
        "their share of an update": 100 / 6,
        "their share in plain training": 50,
        "images a GPU takes from the loader": 5 / 3,
        "bytes all GPUs take, with masks": 2 * 5 / 3 * 400 / 1e6,
        "training": 0.25,
        "training, all GPUs": 0.5,
        "training, price": 3.0,
        "training, were time FLOPs": 1 / 6,
        "weights, gradients, momentum": 0.012002,
        "activations of a batch, fp32": 0.005,
        "the attack's buffers": 4 * 5 * 1200 / 1e9,
        "memory a GPU": 0.012002 + 0.005 + 0.000024,
        "checkpoint": 8.002,
        "Fig. 4, points of the sweep": 14,
        "Fig. 4, rows of the images' tables": 18 * 14 / 1e6,
        "Fig. 4, at most": 18 * 5 * 2 * 20 / 10 / 3600 / 2,
        "Fig. 4, all GPUs": 0.1,
        "Fig. 4, price": 0.6,
    }
    assert found == pytest.approx(expected)


def test_one_gpu_sends_nothing(formulas: ModuleType) -> None:
    network = formulas.Network(1_000_000, 0, 1.0, 1.0, 3.0, 2.0)
    rows = formulas.estimate(formulas.Run(100, 1, gpus=1), network, formulas.Panels(1, 1, 1))
    found = {what: value for what, value, _ in rows}
    assert found["gradients a GPU sends an update"] == 0
    assert found["an update"] == pytest.approx(64 * 51 / 100)


def test_a_resnet34_is_counted(formulas: ModuleType) -> None:
    """21.8 M weights and 3.67 G multiply-adds, as the architecture is known for (two FLOPs each)."""
    network = formulas.count_network("resnet34", 1000, 224)
    assert network.parameters == 21_797_672
    assert network.forward == pytest.approx(2 * 3.664e9, rel=1e-3)
    assert network.attack == pytest.approx(2 * network.forward)
    # The first layer's gradient to the image is the one that training leaves out.
    first = 2 * 64 * 112 * 112 * 3 * 7 * 7
    assert network.training == pytest.approx(3 * network.forward - first)


def test_panels_are_those_of_the_parameters(formulas: ModuleType) -> None:
    """L2: 5 + 5 + 6 points, Linf: 5 + 5 + 5; PGD at 0 attacks nobody. One clean classifier, four robust."""
    assert formulas.count_panels() == formulas.Panels(points=31, attacked=29, classifiers=5)


def test_the_command_prints_a_column_for_every_number_of_gpus(scale: ModuleType) -> None:
    given = ["estimate", "--images-per-second", "1000", "--price-per-hour", "2", "--gpus", "4"]
    done = CliRunner().invoke(scale.app, given)
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].split() == ["GPUs", "4"]
    assert next(line.split() for line in lines if line.startswith("training, price"))[-2:] == ["727", "USD"]


def test_the_simulation_runs_on_a_thousand_tiny_images(scale: ModuleType, tmp_path: Path) -> None:
    given = ["simulate", "--images", "1000", "--side", "16", "--dense", "200", "--batches", "3"]
    out = tmp_path / "scale.csv"
    done = CliRunner().invoke(scale.app, [*given, "--out", str(out)])
    assert done.exit_code == 0, done.output
    found = pd.read_csv(out).set_index("what")["value"]
    assert found["large set: marked images found in their places"] == 100
    assert found["whole epoch, 4x4: images with their own labels"] == 1000
    assert found["results: rows of the table of images"] == 2000
    assert found["large set: size of its files"] == pytest.approx(1000 * 4 * 16**2 / 1e9, rel=0.05)
    assert (found[found.index.str.contains("peak memory")] > 0).all()
    for way in ("page faults", "page faults, no read-ahead", "loader", "loader, no read-ahead"):
        assert found[f"dense file, cold, {way}"] > 0 and found[f"dense file, warm, {way}"] > 0
