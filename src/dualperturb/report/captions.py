"""Captions: what is plotted, and statements on results computed from the table, never written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from dualperturb.figures.curves import OBJECTIVES
from dualperturb.figures.sweeps import constant, defences, label, only, sweep
from dualperturb.report.summary import NORM_NAMES

_OUTCOMES = "Wrong predictions and mean FS of these images"


def accuracy_caption(results: pd.DataFrame) -> str:
    """Fig. 4: the three sweeps, n, and AT-Dual against AT-PGD on each where both were measured."""
    by_foreground, by_background = sweep(results, "dual", "eps_f"), sweep(results, "dual", "eps_b")
    whole = sweep(results, "pgd", "eps")
    dual = pd.concat([by_foreground, by_background])
    text = (
        f"Adversarial accuracy of {_names(results)} in the {NORM_NAMES[only(whole, 'norm')]} norm: "
        f"(a) dual over the foreground budget, eps_b = {constant(by_foreground, 'eps_b'):g}; "
        f"(b) dual over the background budget, eps_f = {constant(by_background, 'eps_f'):g}; "
        f"(c) PGD over one budget for the whole image. "
        f"Salience weight of dual: {constant(dual, 'salience_weight'):g}.{salience_note(dual)} "
        f"{_images(pd.concat([dual, whole]))}; bands are 95 % Wilson intervals."
    )
    if {"at_pgd", "at_dual"} <= set(defences(results)):
        text += "".join(" " + _lead(rows) for rows in (by_foreground, by_background, whole))
    return text


def salience_caption(results: pd.DataFrame) -> str:
    """Fig. 3: what changes from the smallest to the largest weight, an objective and a defence at a time."""
    rows = pd.concat([sweep(results, "dual", "salience_weight", name) for name in OBJECTIVES])
    first, last = rows["value"].min(), rows["value"].max()
    changes = [f"{name} objective {_changes(rows[rows['objective'] == name])}" for name in OBJECTIVES]
    return (
        f"Mean foreground score (above) and adversarial accuracy (below) of {_names(rows)} under dual with "
        f"eps_f = {constant(rows, 'eps_f'):g}, eps_b = {constant(rows, 'eps_b'):g} over the salience weight, "
        f"by the paper's objective (a) and the balanced one (b). {_images(rows)}; bands are 95 % intervals."
        f"{salience_note(rows)} Change of foreground score and accuracy from weight {first:g} to {last:g}: "
        f"{'. '.join(changes)}."
    )


def salience_note(rows: pd.DataFrame) -> str:
    """A sentence where the gradient of the foreground score was used for several steps, else nothing."""
    most = int(rows["salience_every"].max())
    return f" The gradient of the foreground score is renewed in every {most} steps." if most > 1 else ""


def dual_examples_caption(examples: Mapping[str, Any], eps_f: float, eps_b: float) -> str:
    """Fig. 1: what the columns are, and at each weight how many predictions are wrong and the mean score."""
    labels, count = examples["labels"], len(examples["labels"])
    outcomes = [f"originals: {_outcome(labels, examples['original_predicted'], examples['original_score'])}"]
    for w, weight in enumerate(examples["salience_weights"]):
        outcome = _outcome(labels, examples["dual_predicted"][w], examples["dual_score"][w])
        outcomes.append(f"weight {weight:g}: {outcome}")
    return (
        f"{count} test images; the log density as light (brighter is denser) with the foreground outlined; "
        f"dual examples made on {label(str(examples['defence']))} with eps_f = {eps_f:g}, eps_b = {eps_b:g} "
        f"at each salience weight. Below a picture the prediction, with a cross where it is not the label, "
        f"and the foreground score FS. {_OUTCOMES}: {'; '.join(outcomes)}."
    )


def noise_examples_caption(examples: Mapping[str, Any]) -> str:
    """Fig. 2: what the columns are, and for each how many predictions are wrong and the mean score."""
    outcomes = []
    for kind in ("original", "foreground_noise", "background_noise"):
        outcome = _outcome(examples["labels"], examples[f"{kind}_predicted"], examples[f"{kind}_score"])
        outcomes.append(f"{kind.replace('_', ' ')}: {outcome}")
    return (
        f"{len(examples['labels'])} test images, with adversarial noise of the same budget "
        f"({float(examples['noise_eps']):g} at the paper's scale) made on {label(str(examples['defence']))} "
        f"in the foreground alone or in the background alone. {_OUTCOMES}: {'; '.join(outcomes)}."
    )


def _lead(rows: pd.DataFrame) -> str:
    """AT-Dual's largest lead over AT-PGD on a sweep, with both numbers, or that it has none."""
    dual, pgd = rows[rows["defence"] == "at_dual"], rows[rows["defence"] == "at_pgd"]
    lead = 100 * (dual["accuracy"].to_numpy() - pgd["accuracy"].to_numpy())
    axis, best = only(rows, "axis"), int(lead.argmax())
    if lead[best] <= 0:
        return f"AT-Dual is nowhere above AT-PGD on the {axis} sweep."
    apart = dual["accuracy_low"].iloc[best] > pgd["accuracy_high"].iloc[best]
    return (
        f"AT-Dual's largest lead over AT-PGD on the {axis} sweep: {lead[best]:.1f} points "
        f"at {axis} = {dual['value'].iloc[best]:g} ({'intervals apart' if apart else 'intervals overlap'})."
    )


def _changes(rows: pd.DataFrame) -> str:
    changes = []
    for defence in defences(rows):
        own = rows[rows["defence"] == defence]
        score = own["foreground_score"].iloc[-1] - own["foreground_score"].iloc[0]
        accuracy = 100 * (own["accuracy"].iloc[-1] - own["accuracy"].iloc[0])
        changes.append(f"{label(defence)} {score:+.3f} and {accuracy:+.1f} points")
    return "; ".join(changes)


def _outcome(labels: Any, predicted: Any, scores: Any) -> str:
    wrong = int((np.asarray(predicted) != np.asarray(labels)).sum())
    return f"{wrong} of {len(labels)}, {float(np.mean(scores)):.2f}"


def _names(rows: pd.DataFrame) -> str:
    names = [label(defence) for defence in defences(rows)]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _images(rows: pd.DataFrame) -> str:
    low, high = int(rows["n"].min()), int(rows["n"].max())
    return f"{low} images a point" if low == high else f"{low} to {high} images a point"
