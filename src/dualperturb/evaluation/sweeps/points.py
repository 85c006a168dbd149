"""Sweeps over a budget (the paper's Fig. 4) and over the salience weight (Fig. 3): one tidy row per point."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from dualperturb.core.threat_model import ThreatModel
from dualperturb.errors import UserError
from dualperturb.evaluation.measuring.scoring import (
    COLUMNS,
    AttackSettings,
    attack_images,
    budget_columns,
    outcome_columns,
)
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.evaluation.sweeps.nested import attack_nested
from dualperturb.params import AXES, SALIENCE_LOSSES


@dataclass(frozen=True)
class Point:
    """Budgets at the paper's scale. eps_b None: plain PGD with the budget eps_f over the whole image.

    loss: as in `pgd`.
    """

    axis: str
    value: float
    eps_f: float
    eps_b: float | None
    salience_weight: float
    loss: str


def points(
    axis: str,
    values: tuple[float, ...],
    eps_f: float,
    eps_b: float,
    salience_weight: float,
    loss: str,
) -> list[Point]:
    """The points of one panel: the parameter `axis` takes the values, the others stay fixed.

    Over the salience weight each of `SALIENCE_LOSSES` is measured, so that the figure can show them side by
    side.
    Raises UserError for an unknown axis.
    """
    if axis not in AXES:
        raise UserError(f"axis: found {axis!r}; accepted: {', '.join(AXES)}")
    made = []
    for value in values:
        if axis == "eps":
            made.append(Point(axis, value, value, None, 0.0, loss))
        elif axis == "eps_f":
            made.append(Point(axis, value, value, eps_b, salience_weight, loss))
        elif axis == "eps_b":
            made.append(Point(axis, value, eps_f, value, salience_weight, loss))
        else:
            made.extend(Point(axis, value, eps_f, eps_b, value, name) for name in SALIENCE_LOSSES)
    return made


def sweep(
    subject: Subject,
    panel: list[Point],
    norm: str,
    radius: Callable[[float], float],
    settings: AttackSettings,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Attack at every point. Returns the table of points and the table of images at every point.

    panel: the points of one or more panels, all of PGD or all of dual. radius: a budget at the paper's scale
    -> the radius applied. Without a salience term the points are attacked together (see `nested`), under a
    bound on the foreground score, too, so that accuracy cannot rise with a budget, and a point that two
    panels share is the same in both.
    """
    threats = {
        point: ThreatModel(norm, radius(point.eps_f), None if point.eps_b is None else radius(point.eps_b))
        for point in panel
    }
    weighed = any(point.axis == "salience_weight" or point.salience_weight for point in panel)
    tables = (_each if weighed else _nested)(subject, threats, settings)
    images = [
        tables[point].assign(axis=point.axis, value=point.value, loss=point.loss)[
            ["axis", "value", "loss", *COLUMNS]
        ]
        for point in panel
    ]
    rows = [_row(point, threats[point], tables[point], settings) for point in panel]
    return pd.DataFrame(rows), pd.concat(images, ignore_index=True)


def _nested(
    subject: Subject, threats: dict[Point, ThreatModel], settings: AttackSettings
) -> dict[Point, pd.DataFrame]:
    once, (loss,) = list(dict.fromkeys(threats.values())), {point.loss for point in threats}
    tables = dict(zip(once, attack_nested(subject, once, replace(settings, loss=loss)), strict=True))
    return {point: tables[threat] for point, threat in threats.items()}


def _each(
    subject: Subject, threats: dict[Point, ThreatModel], settings: AttackSettings
) -> dict[Point, pd.DataFrame]:
    """Attacks each point by itself, but equal attacks only once: two panels share a point."""
    found: dict[tuple[ThreatModel, float, str], pd.DataFrame] = {}
    tables = {}
    for point, threat in threats.items():
        attack = threat, point.salience_weight, point.loss
        if attack not in found:
            own = replace(settings, loss=point.loss)
            found[attack] = attack_images(subject, threat, point.salience_weight, own)
        tables[point] = found[attack]
    return tables


def _row(
    point: Point, threat: ThreatModel, table: pd.DataFrame, settings: AttackSettings
) -> dict[str, object]:
    return {
        "attack": "pgd" if point.eps_b is None else "dual",
        "axis": point.axis,
        "value": point.value,
        **budget_columns(threat, point.eps_f, point.eps_b),
        "salience_weight": point.salience_weight,
        "loss": point.loss,
        "salience_every": settings.salience_every if point.salience_weight else 1,
        "min_foreground_score": settings.bound(threat),
        "steps": settings.steps,
        **outcome_columns(table),
    }
