"""The paper's figures of one data set, from its tables and arrays alone: reports/figures/DATASET."""

from __future__ import annotations

from dualperturb.evaluation.tables import RESULT_COLUMNS
from dualperturb.figures import draw, read_arrays, save
from dualperturb.files import read_csv, replacing
from stages.common import EXAMPLES, FIGURES, GRADIENTS, RESULTS, params, run


def main(dataset: str) -> None:
    chosen = params(dataset)
    results = read_csv(RESULTS, RESULT_COLUMNS)
    drawn = draw(
        results[results["dataset"] == dataset],
        read_arrays(EXAMPLES / f"{dataset}.npz"),
        read_arrays(GRADIENTS / f"{dataset}.npz"),
        chosen.plots,
    )
    # The folder as a whole: a figure that is no longer asked for goes.
    with replacing(FIGURES / dataset) as folder:
        for name, figure in drawn.items():
            save(figure, folder / f"{dataset}_{name}")


if __name__ == "__main__":
    run(main)
