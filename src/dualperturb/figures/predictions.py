"""The predictions and foreground scores of the pictures in Fig. 1 and 2, counted and listed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dualperturb.figures.names import NORM_NAMES, label


def made_on(examples: Mapping[str, Any]) -> str:
    """Which classifier the examples attack: "made on AT-PGD (trained with L2)"."""
    trained = NORM_NAMES.get(str(examples["trained_norm"]))
    return f"made on {label(str(examples['defence']))}" + (f" (trained with {trained})" if trained else "")


def outcome_text(labels: Any, predicted: Any, scores: Any, clean: Any = None) -> str:
    """How many are wrong, and the mean foreground score: "2 of 3, mean FS 0.25".

    clean: the scores before the attack; then, in brackets, how many of the wrong ones are not below them.
    """
    wrong = np.asarray(predicted) != np.asarray(labels)
    kept = "" if clean is None else f" ({int((wrong & (np.asarray(scores) >= clean)).sum())})"
    return f"{int(wrong.sum())}{kept} of {len(labels)}, mean FS {float(np.mean(scores)):.2f}"


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
