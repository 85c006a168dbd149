"""The tables of sweeps and measures put together: reports/results.csv, reports/metrics.json, reports/curves.

The list of tables comes from params.yaml, never from what lies on disk, so that a data set that was dropped
leaves no trace.
"""

from __future__ import annotations

import pandas as pd

from dualperturb.evaluation.tables import curves, metrics, over_trainings
from dualperturb.files import replacing, write_csv, write_json
from dualperturb.params import AXES
from stages.common import CURVES, METRICS, RESULTS, params, run
from stages.results import norms_of, read_parts


def main() -> None:
    settings = params()
    every = pd.concat(read_parts(settings), ignore_index=True)
    write_csv(RESULTS, every)
    results = over_trainings(every)
    write_json(METRICS, metrics(results, {norm: settings.budgets(norm) for norm in settings.norms}))
    with replacing(CURVES) as folder:
        for axis in AXES:
            for dataset in settings.datasets:
                for norm in norms_of(axis, settings):
                    rows = results[(results["dataset"] == dataset) & (results["norm"] == norm)]
                    write_csv(folder / axis / f"{dataset}_{norm}.csv", curves(rows, axis))


if __name__ == "__main__":
    run(main)
