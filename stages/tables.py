"""Put the tables of sweeps and measures together: reports/results.csv, reports/metrics.json, reports/curves.

Which tables there are comes from params.yaml, never from what lies on disk: a data set that was dropped
leaves no trace.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from dualperturb.evaluation.tables import COLUMNS, curves, metrics
from dualperturb.files import read_csv, replacing, write_csv, write_json
from dualperturb.params import AXES, Params
from stages.common import CURVES, MEASURES, METRICS, RESULTS, SWEEP_TABLES, SWEPT, params, run


def main() -> None:
    settings = params()
    results = pd.concat(
        [read_csv(path, COLUMNS[measure]) for measure, path in parts(settings)], ignore_index=True
    )
    write_csv(RESULTS, results)
    write_json(METRICS, metrics(results, {norm: settings.budgets(norm) for norm in settings.norms}))
    with replacing(CURVES) as folder:
        for axis in AXES:
            for dataset in settings.datasets:
                for norm in norms_of(axis, settings):
                    rows = results[(results["dataset"] == dataset) & (results["norm"] == norm)]
                    write_csv(folder / axis / f"{dataset}_{norm}.csv", curves(rows, axis))


def parts(settings: Params) -> Iterator[tuple[str, Path]]:
    """Each table's measure, as `COLUMNS` names it, and its place."""
    for dataset in settings.datasets:
        for axis in AXES:
            for norm in norms_of(axis, settings):
                for defence in SWEPT:
                    yield "panels", SWEEP_TABLES / dataset / axis / defence / f"{norm}.csv"
        for name in measures(settings):
            yield name.partition("/")[0], MEASURES / dataset / f"{name}.csv"


def measures(settings: Params) -> Iterator[str]:
    """The tables beside the panels."""
    yield from ("jsma", "smoothing", "gradients")
    for norm in settings.norms:
        yield from (f"transfer/{norm}", f"unsuspicious/{norm}")
        yield from (f"strong/{defence}/{norm}" for defence in SWEPT)


def norms_of(axis: str, settings: Params) -> tuple[str, ...]:
    """The salience weight is swept in the first norm alone, as in the paper."""
    return settings.norms[:1] if axis == "salience_weight" else settings.norms


if __name__ == "__main__":
    run(main)
