from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks import budget_shape


def test_a_classifier_is_counted_in_every_ball_and_never_above_its_clean_accuracy(tmp_path: Path) -> None:
    budget_shape.main(["--tiny", "--out", str(tmp_path)])
    (row,) = pd.read_csv(tmp_path / "budget_shape.csv").to_dict("records")
    whole = [f"whole_{eps:g}" for eps in budget_shape.WHOLE]
    assert list(row) == ["classifier", "images", "clean", "dual", *whole] and row["images"] == 4
    counts = [row[name] for name in ("clean", *whole)]
    assert counts == sorted(counts, reverse=True) and 0 <= row["dual"] <= row["clean"]


def test_the_papers_defences_come_first(tmp_path: Path) -> None:
    for place in ("random_masks/L2", "at_pgd/L2", "at_dual/L2", "other/Linf", "clean/0"):
        (tmp_path / place).mkdir(parents=True)
    assert budget_shape.names(tmp_path) == ["clean", "at_dual/L2", "at_pgd/L2", "random_masks/L2"]
