from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import budget_shape
from benchmarks.shapes6 import stand_in
from dualperturb.core.images import ImageSet
from dualperturb.evaluation.measuring.subject import Subject


def always_right(options: Namespace, name: str) -> Subject:
    made = stand_in(options)
    labels = made.classes(next(made.batches(4)).images).numpy()
    return replace(made, data=ImageSet(made.data.images, labels, made.data.class_names))


def test_a_classifier_is_counted_in_every_ball(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_shape, "subject", always_right)
    budget_shape.main(["--tiny", "--out", str(tmp_path)])
    (row,) = pd.read_csv(tmp_path / "budget_shape.csv").to_dict("records")
    whole = [f"whole_{eps:g}" for eps in budget_shape.WHOLE]
    assert list(row) == ["classifier", "images", "clean", "dual", *whole]
    assert row["classifier"] == "clean" and row["images"] == row["clean"] == 4
    counts = [row[name] for name in ("clean", *whole)]
    assert counts == sorted(counts, reverse=True) and row[whole[-1]] < 4 and row["dual"] <= 4


def test_the_papers_defences_come_first(tmp_path: Path) -> None:
    for place in ("random_masks/L2", "at_pgd/L2", "at_dual/L2", "other/Linf", "clean/0"):
        (tmp_path / place).mkdir(parents=True)
    assert budget_shape.names(tmp_path) == ["clean", "at_dual/L2", "at_pgd/L2", "random_masks/L2"]
