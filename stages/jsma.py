"""JSMA, the L0 attack: accuracy of every classifier against the share of pixels changed (Fig. 5, right)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stages.common import MEASURES, params, run, timed

if TYPE_CHECKING:
    from torch import Tensor

    from dualperturb.core.devices.memory import BatchSize
    from dualperturb.evaluation.measuring.subject import Batch, Subject
    from dualperturb.params.evaluation import Jsma


def main(dataset: str) -> None:
    import pandas as pd

    from dualperturb.attacks.jsma import withstood
    from dualperturb.evaluation.measuring.intervals import accuracy_columns
    from dualperturb.files import write_csv
    from stages.subject import classifiers, identity, subject

    settings = params(dataset)
    chosen, size = settings.of(dataset).evaluate.jsma, settings.of(dataset).evaluate.batch_size
    rows, images = [], []
    with timed(dataset, "jsma"):
        for one in classifiers(settings):
            measured = subject(dataset, *one, settings, chosen.n)
            first = first_fooled(measured, chosen, size)
            for share in (0.0, *chosen.shares):
                point = {"attack": "jsma", "norm": "L0", "axis": "share", "value": share}
                own = identity(dataset, *one) | point
                right = withstood(first, share, measured.data.side**2).numpy()
                rows.append(own | accuracy_columns(int(right.sum()), len(right)))
                images.append(pd.DataFrame({**own, "index": measured.indices, "correct": right}))
        write_csv(MEASURES / dataset / "jsma.csv", pd.DataFrame(rows))
        write_csv(MEASURES / dataset / "jsma.images.csv", pd.concat(images, ignore_index=True))


def first_fooled(measured: Subject, chosen: Jsma, size: BatchSize) -> Tensor:
    """For each image, on the CPU, the number of pixels changed when it was fooled."""
    import torch

    from dualperturb.attacks.jsma import jsma

    def attacked(batch: Batch) -> Tensor:
        _, images, labels, _ = batch
        found = jsma(
            measured.model,
            images,
            labels,
            max_share=chosen.shares[-1],
            pixels_per_step=chosen.pixels_per_step,
        )
        return found.first_fooled.cpu()

    return torch.cat(measured.each(size, attacked))


if __name__ == "__main__":
    run(main)
