"""Tables of unsuspicious adversarial accuracy: over the bound, and under each model that judges (ours).

An attack has an unsuspicious example of an image if it fools the classifier and its foreground score reaches
the bound. The unsuspicious adversarial accuracy is the share of the images of which there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dualperturb.evaluation.measuring.intervals import accuracy_columns, mean_columns
from dualperturb.evaluation.tables import ANY, BOUNDS, UNSEEN

ROUNDING = 5e-6  # of a score in float32, which a full foreground's may miss 1 by
# Tables of one attack's runs, as `outcomes` makes them, of the same images. The first run's scores are shown.
Runs = Sequence[pd.DataFrame]


def unsuspicious(table: pd.DataFrame, judges: Sequence[str], bound: float | None) -> npt.NDArray[np.bool_]:
    """Whether each example fools and has a score of at least the bound under every judge, (n,).

    bound None: at least the score of the image before the attack.
    """
    held = [
        table[f"score_{name}"] >= (table[f"clean_{name}"] if bound is None else bound) - ROUNDING
        for name in judges
    ]
    found: npt.NDArray[np.bool_] = np.logical_and.reduce([table["fooled"], *held])
    return found


def bound_rows(attacks: Mapping[str, Runs], judge: str) -> Iterator[dict[str, Any]]:
    """Unsuspicious adversarial accuracy over the bound, a row per attack and bound, and for all together."""
    for attack, runs in _and_all(attacks).items():
        for bound in BOUNDS:
            row = {"attack": attack, "axis": "bound", "value": bound, "judge": judge}
            yield row | _withstood(runs, [judge], bound)


def judge_rows(
    attacks: Mapping[str, Runs], judges: Sequence[str], unseen: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Unsuspicious adversarial accuracy at the clean image's score, a row per attack and judge.

    With the mean score, its change, and how many images fell below 0.5; at the first judge also with the mean
    perceptual distances. judges: all; unseen: those that no attack climbed, which judge once more together.
    """
    for attack, runs in _and_all(attacks).items():
        for judge in judges:
            row = {"attack": attack, "axis": "unsuspicious", "judge": judge}
            shown = {} if attack == ANY else _shown_columns(runs[0], judge, distances=judge == judges[0])
            yield row | _withstood(runs, [judge], None) | shown
        if unseen:
            row = {"attack": attack, "axis": "unsuspicious", "judge": UNSEEN}
            yield row | _withstood(runs, unseen, None)


def _and_all(attacks: Mapping[str, Runs]) -> dict[str, Runs]:
    return {**attacks, ANY: [table for runs in attacks.values() for table in runs]}


def _withstood(runs: Runs, judges: Sequence[str], bound: float | None) -> dict[str, float | int]:
    """Accuracy where an image counts as lost if any run has an unsuspicious example of it."""
    lost = np.logical_or.reduce([unsuspicious(table, judges, bound) for table in runs])
    return accuracy_columns(int((~lost).sum()), len(lost))


def _shown_columns(table: pd.DataFrame, judge: str, distances: bool) -> dict[str, float | int]:
    score, clean = table[f"score_{judge}"], table[f"clean_{judge}"]
    found: dict[str, float | int] = {"crossed_half": int(((clean >= 0.5) & (score < 0.5)).sum())}
    found |= mean_columns("foreground_score", score) | mean_columns("score_change", score - clean)
    if distances:
        found |= mean_columns("ssim_distance", table["whole"])
        found |= mean_columns("ssim_distance_foreground", table["foreground"])
    return found
