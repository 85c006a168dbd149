from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks import constraint
from benchmarks.shapes6 import stand_in
from dualperturb.core.images import ImageSet


def test_every_classifier_norm_and_bound_has_its_row(tmp_path: Path) -> None:
    constraint.main(["--tiny", "--out", str(tmp_path)])
    rows = pd.read_csv(tmp_path / "constraint.csv")
    assert len(rows) == 6 * len(constraint.BOUNDS)
    assert set(rows["bound"]) == {"clean", "clean-0.05", "0.5", "0.9"}
    counts = rows[["best_sum", "constraint"]]
    assert ((counts >= 0) & (counts.le(rows["images"], axis=0))).all(axis=None)


def test_only_what_fools_and_holds_the_bound_counts() -> None:
    fooled = torch.tensor([True, True, False])
    after, before = torch.tensor([0.5, 0.3, 0.9]), torch.tensor([0.5, 0.34, 0.1])
    counted = {bound: constraint.held(bound, fooled, after, before) for bound in ("clean", "clean-0.05", 0.4)}
    assert counted == {"clean": 1, "clean-0.05": 2, 0.4: 1}


def test_the_images_that_steps_were_chosen_on_are_not_reported() -> None:
    tiny = Namespace(tiny=False, images=200, device=torch.device("cpu"))
    data = ImageSet(np.zeros((1000, 3, 2, 2), np.uint8), np.zeros(1000, np.int64), ("a",))
    left = constraint.held_out(replace(stand_in(tiny), data=data), tiny).indices
    assert len(set(left.tolist())) == 200 and not set(left.tolist()) & set(constraint.CHOSEN_ON.tolist())
