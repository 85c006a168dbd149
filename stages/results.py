"""The tables of all measures: where each lies, and how many rows it has, both derived from params.yaml.

So a table that is cut off between two rows is recognised, and nothing else that lies on disk is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from dualperturb.core.budgets import NORMS
from dualperturb.errors import REMAKE, UserError
from dualperturb.evaluation.tables import BOUNDS, COLUMNS
from dualperturb.evaluation.tidy import TIDY_COLUMNS, wide
from dualperturb.files import read_csv
from dualperturb.params import AXES, SALIENCE_LOSSES, SMOOTHED, Params
from dualperturb.params.unsuspicious import CONTROL
from stages.common import MEASURES, RESULTS, SWEEP_TABLES

ATTACKS = 2  # PGD, dual
STRONG = 3  # long PGD, long dual, Dual-AutoAttack


def read_parts(settings: Params) -> Iterator[pd.DataFrame]:
    """Each measure's table. Raises UserError for one that is absent, damaged or cut off."""
    for measure, path in parts(settings):
        yield whole(path, read_csv(path, COLUMNS[measure]), rows_of(path, settings))


def read_results(settings: Params) -> pd.DataFrame:
    """reports/results.csv in its wide form. Raises UserError where it is absent, damaged or cut off."""
    expected = sum(rows_of(path, settings) for _, path in parts(settings))
    return whole(RESULTS, wide(read_csv(RESULTS, TIDY_COLUMNS)), expected)


def parts(settings: Params) -> Iterator[tuple[str, Path]]:
    """Each table's measure, as `COLUMNS` names it, and its place."""
    for dataset in settings.datasets:
        for axis in AXES:
            for norm in norms_of(axis, settings):
                for defence in settings.swept:
                    yield "panels", SWEEP_TABLES / dataset / axis / defence / f"{norm}.csv"
        for name in measures(settings):
            yield name.partition("/")[0], MEASURES / dataset / f"{name}.csv"


def measures(settings: Params) -> Iterator[str]:
    """The names of the tables other than the panels'."""
    yield from ("jsma", "smoothing", "gradients")
    for norm in settings.norms:
        yield from (f"transfer/{norm}", f"unsuspicious/{norm}")
        yield from (f"strong/{defence}/{norm}" for defence in settings.swept)


def norms_of(axis: str, settings: Params) -> tuple[str, ...]:
    """The norms that an axis is swept in: the salience weight in Fig. 3's, or none if that is not in use."""
    own = settings.figures.fig3.norm
    return tuple(norm for norm in settings.norms if axis != "salience_weight" or norm == own)


def whole(path: Path, table: pd.DataFrame, expected: int) -> pd.DataFrame:
    if len(table) != expected:
        raise UserError(f"{path}: found {len(table)} rows; accepted: {expected}, by params.yaml; {REMAKE}")
    return table


def rows_of(path: Path, settings: Params) -> int:
    """The number of rows that a table has, by its place."""
    return len(settings.seeds.training) * _of_a_training(path, settings)


def _of_a_training(path: Path, settings: Params) -> int:
    if path.is_relative_to(SWEEP_TABLES):
        dataset, axis, defence, name = path.relative_to(SWEEP_TABLES).parts
        return _panel(settings, dataset, axis, defence, name.removesuffix(".csv"))
    dataset, measure, *rest = path.relative_to(MEASURES).with_suffix("").parts
    return _measure(settings, dataset, measure, rest[-1] if rest else None)


def _panel(settings: Params, dataset: str, axis: str, defence: str, norm: str) -> int:
    if axis == "salience_weight":
        return len(SALIENCE_LOSSES) * len(settings.of(dataset).evaluate.salience_weights)
    return len(getattr(settings.grid(dataset, norm), axis)) * len(settings.trained(defence))


def _of_unsuspicious(settings: Params, dataset: str) -> int:
    """One classifier's rows: for each attack, and for all together, a curve and a row per judge."""
    own, asked = settings.of(dataset).masks.model, settings.of(dataset).evaluate.unsuspicious
    attacks = 3 + bool(asked.salience_weight) + bool(asked.bounds) + bool(asked.guides)  # pgd, dual, all
    judges = {model.name for model in (own, *asked.guides, *asked.judges)} | {CONTROL}
    return attacks * (len(BOUNDS) + len(judges) + bool(asked.judges))


def _measure(settings: Params, dataset: str, measure: str, norm: str | None) -> int:
    chosen = settings.of(dataset).evaluate
    every = sum(len(settings.trained(defence)) for defence in settings.swept)
    if measure == "jsma":
        return every * (len(chosen.jsma.shares) + 1)  # and the share 0
    if measure == "gradients":
        return every
    if measure == "transfer":
        return ATTACKS * every**2
    if measure == "unsuspicious":
        return len(settings.swept) * _of_unsuspicious(settings, dataset)
    if measure == "smoothing":
        trained = [settings.of(dataset).train.smoothed(defence) for defence in SMOOTHED]
        radii = sum(len(chosen.smoothing.certifiable(one.least_sigma)) for one in trained)
        return radii + len(SMOOTHED) * len(chosen.smoothing.eps_b) + ATTACKS * len(settings.norms)
    assert measure == "strong"
    assert norm is not None
    read_off = len(settings.grid(dataset, norm).eps) if norm == "L2" else 0  # Carlini and Wagner's budgets
    return STRONG + NORMS[norm].in_autoattack + read_off
