"""Captions and tables of Fig. 1 and 2, from their arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dualperturb.figures.names import label
from dualperturb.report.texts import budgets_text, images

_OUTCOMES = "Wrong predictions and mean FS of these images"
_NOISY = ("original", "foreground_noise", "background_noise")


def dual_examples_caption(examples: Mapping[str, Any]) -> str:
    """Fig. 1: what the columns are, and at each weight how many predictions are wrong and the mean score."""
    labels = examples["labels"]
    outcomes = [f"originals: {_outcome(labels, examples['original_predicted'], examples['original_score'])}"]
    for w, weight in enumerate(examples["salience_weights"]):
        outcome = _outcome(labels, examples["dual_predicted"][w], examples["dual_score"][w])
        outcomes.append(f"weight {weight:g}: {outcome}")
    budgets = budgets_text(str(examples["norm"]), *(float(value) for value in examples["budgets"]))
    return (
        f"{images(len(labels), 'test ')}; the log density as light (brighter is denser) with the foreground "
        f"outlined; dual examples made on {label(str(examples['defence']))} with {budgets} "
        f"at each salience weight. Below a picture the prediction, with a cross where it is not the label, "
        f"and the foreground score FS. {_OUTCOMES}: {'; '.join(outcomes)}."
    )


def noise_examples_caption(examples: Mapping[str, Any]) -> str:
    """Fig. 2: what the columns are, and for each how many predictions are wrong and the mean score."""
    outcomes = []
    for kind in _NOISY:
        outcome = _outcome(examples["labels"], examples[f"{kind}_predicted"], examples[f"{kind}_score"])
        outcomes.append(f"{kind.replace('_', ' ')}: {outcome}")
    return (
        f"{images(len(examples['labels']), 'test ')}, with adversarial noise of the same budget, "
        f"{budgets_text(str(examples['norm']), float(examples['budgets'][1]))}, made on "
        f"{label(str(examples['defence']))} in the foreground alone or in the background alone. "
        f"{_OUTCOMES}: {'; '.join(outcomes)}."
    )


def dual_examples_table(examples: Mapping[str, Any]) -> pd.DataFrame:
    """A row a picture of Fig. 1: test image, label, picture, prediction, foreground score."""
    kinds = [("original", examples["original_predicted"], examples["original_score"])]
    for w, weight in enumerate(examples["salience_weights"]):
        name = f"dual, salience weight {weight:g}"
        kinds.append((name, examples["dual_predicted"][w], examples["dual_score"][w]))
    return _pictures(examples, kinds)


def noise_examples_table(examples: Mapping[str, Any]) -> pd.DataFrame:
    """A row a picture of Fig. 2: test image, label, picture, prediction, foreground score."""
    return _pictures(
        examples,
        [
            (kind.replace("_", " "), examples[f"{kind}_predicted"], examples[f"{kind}_score"])
            for kind in _NOISY
        ],
    )


def _outcome(labels: Any, predicted: Any, scores: Any) -> str:
    wrong = int((np.asarray(predicted) != np.asarray(labels)).sum())
    return f"{wrong} of {len(labels)}, {float(np.mean(scores)):.2f}"


def _pictures(examples: Mapping[str, Any], kinds: list[tuple[str, Any, Any]]) -> pd.DataFrame:
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
