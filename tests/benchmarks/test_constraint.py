from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks import constraint


def test_every_classifier_norm_and_bound_has_its_row(tmp_path: Path) -> None:
    constraint.main(["--tiny", "--out", str(tmp_path)])
    rows = pd.read_csv(tmp_path / "constraint.csv")
    assert len(rows) == 6 * len(constraint.BOUNDS)
    assert set(rows["bound"]) == {"clean", "clean-0.05", "0.5", "0.9"}
    counts = rows[["best_sum", "balanced", "constraint"]]
    assert ((counts >= 0) & (counts.le(rows["images"], axis=0))).all(axis=None)


def test_only_what_fools_and_holds_the_bound_counts() -> None:
    fooled = torch.tensor([True, True, False])
    after, before = torch.tensor([0.5, 0.3, 0.9]), torch.tensor([0.5, 0.34, 0.1])
    counted = {bound: constraint.held(bound, fooled, after, before) for bound in ("clean", "clean-0.05", 0.4)}
    assert counted == {"clean": 1, "clean-0.05": 2, 0.4: 1}


def test_the_images_that_steps_were_chosen_on_are_not_reported() -> None:
    assert len(np.unique(constraint.CHOSEN_ON)) == 100
