"""The paper's figures of one data set, from its tables and arrays alone: reports/figures/DATASET."""

from __future__ import annotations

from dualperturb.evaluation.tables import over_trainings
from dualperturb.figures import draw, read_arrays, read_examples, save
from dualperturb.files import replacing
from stages.common import EXAMPLES, FIGURES, GRADIENTS, params, run
from stages.results import read_results


def main(dataset: str) -> None:
    chosen = params(dataset)
    results = over_trainings(read_results(chosen))
    drawn = draw(
        results[results["dataset"] == dataset],
        read_examples(EXAMPLES / dataset),
        read_arrays(GRADIENTS / f"{dataset}.npz"),
        chosen.figures,
        chosen.plots,
    )
    # The folder is replaced as a whole, so that a figure that is no longer asked for disappears.
    with replacing(FIGURES / dataset) as folder:
        for name, figure in drawn.items():
            save(figure, folder / f"{dataset}_{name}")


if __name__ == "__main__":
    run(main)
