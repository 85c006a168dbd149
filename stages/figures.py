"""The paper's figures of one data set, from its tables and example arrays alone: reports/figures/DATASET."""

from __future__ import annotations

from dualperturb.figures import draw, save
from dualperturb.files import read_csv
from stages.common import FIGURES, RESULTS, load_examples, params, run


def main(dataset: str) -> None:
    chosen = params(dataset)
    results = read_csv(RESULTS)
    drawn = draw(results[results["dataset"] == dataset], load_examples(dataset), chosen.plots)
    for name, figure in drawn.items():
        save(figure, FIGURES / dataset / f"{dataset}_{name}")


if __name__ == "__main__":
    run(main)
