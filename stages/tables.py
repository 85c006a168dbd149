"""The tables of sweeps and measures put together: reports/results.csv, claims.csv, metrics.json and curves.

The list of tables comes from params.yaml, never from what lies on disk, so that a data set that was dropped
leaves no trace.
"""

from __future__ import annotations

import pandas as pd

from dualperturb.evaluation.claims.table import claims_table
from dualperturb.evaluation.tables import curves, metrics
from dualperturb.evaluation.tidy import tidy
from dualperturb.files import replacing, write_csv, write_json
from dualperturb.params import AXES
from stages.common import CLAIMS, CURVES, METRICS, RESULTS, params, run
from stages.outcomes import read_images, read_judged
from stages.results import norms_of, read_parts


def main() -> None:
    settings = params()
    results = pd.concat(read_parts(settings), ignore_index=True)
    budgets = {norm: settings.budgets(norm) for norm in settings.norms}
    images = pd.concat(read_images(settings), ignore_index=True)
    write_csv(RESULTS, tidy(results))
    judged = {dataset: list(read_judged(dataset, settings)) for dataset in settings.datasets}
    write_csv(CLAIMS, claims_table(images, results, budgets, judged))
    write_json(METRICS, metrics(results, budgets))
    with replacing(CURVES) as folder:
        for axis in AXES:
            for dataset in settings.datasets:
                for norm in norms_of(axis, settings):
                    rows = results[(results["dataset"] == dataset) & (results["norm"] == norm)]
                    write_csv(folder / axis / f"{dataset}_{norm}.csv", curves(rows, axis))


if __name__ == "__main__":
    run(main)
