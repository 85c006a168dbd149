"""Sweeps over a budget (the paper's Fig. 4) and over the salience weight (Fig. 3): one tidy row a point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from dualperturb.attacks.adversaries import ThreatModel
from dualperturb.errors import UserError
from dualperturb.evaluation.intervals import mean_interval, wilson
from dualperturb.evaluation.scoring import AttackSettings, Subject, attack_images
from dualperturb.params import AXES


@dataclass(frozen=True)
class Point:
    """Budgets at the paper's scale. eps_b None: plain PGD with the budget eps_f over the whole image."""

    axis: str
    value: float
    eps_f: float
    eps_b: float | None
    salience_weight: float


def points(
    axis: str, values: tuple[float, ...], eps_f: float, eps_b: float, salience_weight: float
) -> list[Point]:
    """The points of one panel: `axis` takes the values, what is not on the axis stays fixed.

    Raises UserError for an unknown axis.
    """
    if axis not in AXES:
        raise UserError(f"axis: found {axis!r}; accepted: {', '.join(AXES)}")
    made = []
    for value in values:
        if axis == "eps":
            made.append(Point(axis, value, value, None, 0.0))
        elif axis == "eps_f":
            made.append(Point(axis, value, value, eps_b, salience_weight))
        elif axis == "eps_b":
            made.append(Point(axis, value, eps_f, value, salience_weight))
        else:
            made.append(Point(axis, value, eps_f, eps_b, value))
    return made


def sweep(
    subject: Subject,
    panel: list[Point],
    norm: str,
    radius: Callable[[float], float],
    settings: AttackSettings,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Attack at every point. Returns the table of points and the table of images at every point.

    radius: a budget at the paper's scale -> the radius applied.
    """
    rows, images = [], []
    for point in panel:
        threat = ThreatModel(norm, radius(point.eps_f), None if point.eps_b is None else radius(point.eps_b))
        table = attack_images(subject, threat, point.salience_weight, settings)
        rows.append(_row(point, threat, table, settings))
        table.insert(0, "value", point.value)
        images.append(table)
    return pd.DataFrame(rows), pd.concat(images, ignore_index=True)


def _row(
    point: Point, threat: ThreatModel, table: pd.DataFrame, settings: AttackSettings
) -> dict[str, object]:
    correct, count = int(table["correct"].sum()), len(table)
    low, high = wilson(correct, count)
    scores = table["foreground_score"].to_numpy()
    score_low, score_high = mean_interval(scores)
    return {
        "attack": "pgd" if point.eps_b is None else "dual",
        "norm": threat.norm,
        "axis": point.axis,
        "value": point.value,
        "eps_f": point.eps_f,
        "eps_b": point.eps_f if point.eps_b is None else point.eps_b,
        "eps_f_spent": threat.eps_f,
        "eps_b_spent": threat.eps_f if threat.eps_b is None else threat.eps_b,
        "salience_weight": point.salience_weight,
        "steps": settings.steps,
        "n": count,
        "accuracy": correct / count,
        "accuracy_low": low,
        "accuracy_high": high,
        "foreground_score": float(scores.mean()),
        "foreground_score_low": score_low,
        "foreground_score_high": score_high,
    }
