"""Put the cells' tables together: reports/results.csv, reports/metrics.json, reports/curves.

Which cells there are comes from params.yaml, never from what lies on disk: a data set that was dropped leaves
no trace.
"""

from __future__ import annotations

import pandas as pd

from dualperturb.evaluation.tables import curves, metrics
from dualperturb.files import read_csv, replacing, write_csv, write_json
from dualperturb.params import AXES, DEFENCES
from stages.common import CELLS, CURVES, METRICS, RESULTS, params, run


def main() -> None:
    settings = params()
    cells = [
        read_csv(CELLS / dataset / axis / f"{defence}.csv")
        for dataset in settings.datasets
        for axis in AXES
        for defence in DEFENCES
    ]
    results = pd.concat(cells, ignore_index=True)
    write_csv(RESULTS, results)
    write_json(METRICS, metrics(results, settings.eps_f, settings.eps_b))
    with replacing(CURVES) as folder:
        for axis in AXES:
            for dataset in settings.datasets:
                write_csv(
                    folder / axis / f"{dataset}.csv", curves(results[results["dataset"] == dataset], axis)
                )


if __name__ == "__main__":
    run(main)
