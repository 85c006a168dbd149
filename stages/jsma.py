"""JSMA, the L0 attack: accuracy of every classifier against the share of pixels changed (Fig. 5, right)."""

from __future__ import annotations

from stages.common import MEASURES, params, run, timed


def main(dataset: str) -> None:
    import numpy as np
    import pandas as pd
    import torch

    from dualperturb.attacks.jsma import curve, jsma
    from dualperturb.evaluation.rows import accuracy_columns
    from dualperturb.files import write_csv
    from stages.subject import classifiers, identity, subject

    settings = params(dataset)
    chosen, size = settings.evaluate[dataset].jsma, settings.evaluate[dataset].batch_size
    shares = np.linspace(0, chosen.share, chosen.points + 1).round(6).tolist()
    rows = []
    with timed(dataset, "jsma"):
        for defence, trained in classifiers(settings):
            measured = subject(dataset, defence, trained, settings, chosen.n)
            first = torch.cat(
                [
                    jsma(
                        measured.model,
                        images,
                        labels,
                        max_share=chosen.share,
                        pixels_per_step=chosen.pixels_per_step,
                    ).first_fooled.cpu()
                    for _, images, labels, _ in measured.batches(size)
                ]
            )
            for share, right in zip(shares, curve(first, shares, measured.data.side**2), strict=True):
                point = {"attack": "jsma", "norm": "L0", "axis": "share", "value": share}
                rows.append(identity(dataset, defence, trained) | point | accuracy_columns(right, len(first)))
        write_csv(MEASURES / dataset / "jsma.csv", pd.DataFrame(rows))


if __name__ == "__main__":
    run(main)
