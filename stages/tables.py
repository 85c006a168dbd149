"""The tables of sweeps and measures put together: reports/results.csv, claims.csv, metrics.json and curves.

The list of tables comes from params.yaml, never from what lies on disk, so that a data set that was dropped
leaves no trace.
"""

from __future__ import annotations

import pandas as pd

from dualperturb.evaluation.claims.table import Norms, claims_table
from dualperturb.evaluation.claims.trainings import over_trainings as claims_over_trainings
from dualperturb.evaluation.tables import curves, metrics, over_trainings
from dualperturb.evaluation.tidy import tidy
from dualperturb.files import replacing, write_csv, write_json
from dualperturb.params import AXES, Figures, Params
from stages.common import CLAIMS, CURVES, METRICS, RESULTS, params, run
from stages.outcomes import read_images, read_judged
from stages.results import norms_of, read_parts


def main() -> None:
    settings = params()
    every = pd.concat(read_parts(settings), ignore_index=True)
    write_csv(RESULTS, tidy(every))
    results = over_trainings(every)
    budgets = {norm: settings.budgets(norm) for norm in settings.norms}
    write_csv(CLAIMS, claims(budgets, settings))
    write_json(METRICS, metrics(results, budgets))
    with replacing(CURVES) as folder:
        for axis in AXES:
            for dataset in settings.datasets:
                for norm in norms_of(axis, settings):
                    rows = results[(results["dataset"] == dataset) & (results["norm"] == norm)]
                    write_csv(folder / axis / f"{dataset}_{norm}.csv", curves(rows, axis))


def claims(budgets: dict[str, tuple[float, float]], settings: Params) -> pd.DataFrame:
    """The table of claims, judged over all trainings."""
    images = pd.concat(read_images(settings), ignore_index=True)
    norms = _norms(settings.figures)
    tables = []
    for training in settings.seeds.training:
        judged = {dataset: list(read_judged(dataset, training, settings)) for dataset in settings.datasets}
        tables.append(claims_table(images[images["training"] == training], budgets, judged, norms))
    return claims_over_trainings(tables)


def _norms(chosen: Figures) -> Norms:
    """The norms of the figures that the paper's claims are about."""
    across = chosen.fig5
    return Norms(chosen.fig4.norm, chosen.fig3.norm, across=across.norm, trained=across.trained)


if __name__ == "__main__":
    run(main)
