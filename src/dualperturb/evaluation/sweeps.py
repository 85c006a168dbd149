"""Sweeps over a budget (the paper's Fig. 4) and over the salience weight (Fig. 3): one tidy row a point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from dualperturb.attacks.adversaries import ThreatModel
from dualperturb.attacks.objectives import OBJECTIVES
from dualperturb.errors import UserError
from dualperturb.evaluation.intervals import mean_interval, wilson
from dualperturb.evaluation.scoring import AttackSettings, Subject, attack_images
from dualperturb.params import AXES


@dataclass(frozen=True)
class Point:
    """Budgets at the paper's scale. eps_b None: plain PGD with the budget eps_f over the whole image.

    objective: how the salience term is climbed, as in `pgd`.
    """

    axis: str
    value: float
    eps_f: float
    eps_b: float | None
    salience_weight: float
    objective: str


def points(
    axis: str,
    values: tuple[float, ...],
    eps_f: float,
    eps_b: float,
    salience_weight: float,
    objective: str,
) -> list[Point]:
    """The points of one panel: `axis` takes the values, what is not on the axis stays fixed.

    Over the salience weight every objective is measured, for the figure to show them side by side.
    Raises UserError for an unknown axis.
    """
    if axis not in AXES:
        raise UserError(f"axis: found {axis!r}; accepted: {', '.join(AXES)}")
    made = []
    for value in values:
        if axis == "eps":
            made.append(Point(axis, value, value, None, 0.0, "paper"))
        elif axis == "eps_f":
            made.append(Point(axis, value, value, eps_b, salience_weight, objective))
        elif axis == "eps_b":
            made.append(Point(axis, value, eps_f, value, salience_weight, objective))
        else:
            made.extend(Point(axis, value, eps_f, eps_b, value, name) for name in OBJECTIVES)
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
    without_salience: dict[ThreatModel, pd.DataFrame] = {}  # there the objectives are one
    for point in panel:
        threat = ThreatModel(norm, radius(point.eps_f), None if point.eps_b is None else radius(point.eps_b))
        if point.salience_weight == 0 and threat in without_salience:
            table = without_salience[threat].copy()
        else:
            own = replace(settings, objective=point.objective)
            table = attack_images(subject, threat, point.salience_weight, own)
        if point.salience_weight == 0:
            without_salience[threat] = table.copy()
        rows.append(_row(point, threat, table, settings))
        table.insert(0, "objective", point.objective)
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
        "objective": point.objective,
        "salience_every": settings.salience_every if point.salience_weight else 1,
        "steps": settings.steps,
        "n": count,
        "accuracy": correct / count,
        "accuracy_low": low,
        "accuracy_high": high,
        "foreground_score": float(scores.mean()),
        "foreground_score_low": score_low,
        "foreground_score_high": score_high,
    }
