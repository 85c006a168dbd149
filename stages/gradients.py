"""Fig. 6: loss gradients of every classifier, and the share of their energy inside the foreground."""

from __future__ import annotations

from stages.common import GRADIENTS, MEASURES, classifier_name, params, run, timed


def main(dataset: str) -> None:
    import numpy as np
    import pandas as pd

    from dualperturb.evaluation.gradients import energy_summary, energy_table, gradient_arrays
    from dualperturb.files import replacing, write_csv
    from stages.subject import classifiers, identity, shown, subject

    settings = params(dataset)
    chosen = settings.of(dataset).evaluate
    rows, images = [], []
    with timed(dataset, "gradients"):
        for one in classifiers(settings):
            table = energy_table(subject(dataset, *one, settings), chosen.batch_size)
            summary = {f"gradient_{name}": value for name, value in energy_summary(table).items()}
            own = identity(dataset, *one) | {"axis": "gradient"}
            rows.append(own | summary)
            kept = table.loc[~table["zero_gradient"], ["index", "share"]].assign(**own, value=0.0)
            images.append(kept.assign(attack="none", norm="none").rename(columns={"share": "gradient_share"}))
        write_csv(
            MEASURES / dataset / "gradients.csv", pd.DataFrame(rows).rename(columns={"gradient_n": "n"})
        )
        write_csv(MEASURES / dataset / "gradients.images.csv", pd.concat(images, ignore_index=True))
        arrays = gradient_arrays(
            {
                classifier_name(*one[:2]): subject(dataset, *one, settings, chosen.examples)
                for one in shown(settings)
            }
        )
        with replacing(GRADIENTS / f"{dataset}.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)


if __name__ == "__main__":
    run(main)
