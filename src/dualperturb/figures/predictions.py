"""The predictions and foreground scores of the pictures in Fig. 1 and 2, counted and listed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

OUTCOMES = "Wrong predictions and mean FS of these images"


def outcome_text(labels: Any, predicted: Any, scores: Any) -> str:
    """How many are wrong, and the mean foreground score: "2 of 3, 0.25"."""
    wrong = int((np.asarray(predicted) != np.asarray(labels)).sum())
    return f"{wrong} of {len(labels)}, {float(np.mean(scores)):.2f}"


def predictions_table(examples: Mapping[str, Any], kinds: list[tuple[str, Any, Any]]) -> pd.DataFrame:
    """One row per picture: test image, label, picture, prediction, foreground score.

    kinds: the kinds of picture, each as (name, the images' predictions, their foreground scores).
    """
    names = [str(name) for name in examples["class_names"]]
    return pd.DataFrame(
        {
            "test image": int(index),
            "label": names[int(examples["labels"][k])],
            "picture": kind,
            "prediction": names[int(predicted[k])],
            "foreground score": f"{float(scores[k]):.3f}",
        }
        for k, index in enumerate(examples["indices"])
        for kind, predicted, scores in kinds
    )
