"""The paper's figures of one data set with captions and the tables to unfold beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dualperturb.figures.curves import OBJECTIVES
from dualperturb.figures.sweeps import defences, label, sweep
from dualperturb.report.captions import (
    accuracy_caption,
    dual_examples_caption,
    noise_examples_caption,
    salience_caption,
)
from dualperturb.report.data import ReportFigure
from dualperturb.report.summary import interval_text

_NAMES = {
    "dual_examples": "dual examples at different salience weights",
    "noise_examples": "foreground against background noise",
    "salience": "foreground score and accuracy over the salience weight",
    "accuracy": "adversarial accuracy over the budgets",
}


def paper_figures(
    results: pd.DataFrame, examples: Mapping[str, Any], dataset: str, folder: Path, eps_f: float, eps_b: float
) -> list[ReportFigure]:
    """Fig. 1 to 4 of `dataset`, whose pictures are `folder`/<dataset>_<name>.png and .svg.

    The names are those of `dualperturb.figures.draw`; `results` may hold other data sets, too. `eps_f` and
    `eps_b` are the budgets the dual examples were made with.
    """
    rows = results[results["dataset"] == dataset]
    fooled, noisy = dual_examples_caption(examples, eps_f, eps_b), noise_examples_caption(examples)
    parts = [
        ("Fig. 1", "dual_examples", fooled, dual_examples_table(examples)),
        ("Fig. 2", "noise_examples", noisy, noise_examples_table(examples)),
        ("Fig. 3", "salience", salience_caption(rows), salience_table(rows)),
        ("Fig. 4", "accuracy", accuracy_caption(rows), accuracy_table(rows)),
    ]
    figures = []
    for number, stem, caption, table in parts:
        png, svg = (folder / f"{dataset}_{stem}.{kind}" for kind in ("png", "svg"))
        figures.append(ReportFigure(number, _NAMES[stem], dataset, png, svg, caption, table))
    return figures


def accuracy_table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a point of Fig. 4, a column a defence; budgets at the paper's scale and as spent."""
    sweeps = (("dual", "eps_f"), ("dual", "eps_b"), ("pgd", "eps"))
    return pd.concat([_points(sweep(rows, attack, axis)) for attack, axis in sweeps], ignore_index=True)


def salience_table(rows: pd.DataFrame) -> pd.DataFrame:
    """A row an objective, salience weight and defence: foreground score and accuracy with intervals."""
    points = pd.concat([sweep(rows, "dual", "salience_weight", name) for name in OBJECTIVES])
    for column, names in (("objective", list(OBJECTIVES)), ("defence", defences(rows))):
        points[f"{column} place"] = points[column].map(names.index)
    points = points.sort_values(["objective place", "defence place", "value"])
    return pd.DataFrame(
        {
            "objective": list(points["objective"]),
            "defence": [label(name) for name in points["defence"]],
            "salience weight": list(points["value"]),
            "foreground score": [_score_text(row) for _, row in points.iterrows()],
            "adversarial accuracy": [interval_text(row) for _, row in points.iterrows()],
            "n": list(points["n"]),
        }
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
            for kind in ("original", "foreground_noise", "background_noise")
        ],
    )


def _points(rows: pd.DataFrame) -> pd.DataFrame:
    first = rows[rows["defence"] == defences(rows)[0]]
    table = pd.DataFrame(
        {
            "attack": list(first["attack"] + " over " + first["axis"]),
            "eps_f": list(first["eps_f"]),
            "eps_b": list(first["eps_b"]),
            "eps_f spent": list(first["eps_f_spent"]),
            "eps_b spent": list(first["eps_b_spent"]),
        }
    )
    for defence in defences(rows):
        own = rows[rows["defence"] == defence]
        table[label(defence)] = [interval_text(row) for _, row in own.iterrows()]
    table["steps"] = list(first["steps"])
    counts = rows.groupby("value")["n"].unique()
    table["n"] = [" / ".join(str(n) for n in counts[value]) for value in first["value"]]
    return table


def _score_text(row: pd.Series) -> str:
    low, high = row["foreground_score_low"], row["foreground_score_high"]
    return f"{row['foreground_score']:.3f} [{low:.3f}, {high:.3f}]"


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
