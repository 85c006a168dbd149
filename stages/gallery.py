"""The data of the report's gallery: every attack's example of the chosen test images on every classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dualperturb.params import Params
from stages.common import GALLERY, classifier_name, params, run, timed

if TYPE_CHECKING:
    from dualperturb.evaluation.gallery import ExampleMaker


def main(dataset: str) -> None:
    import numpy as np
    import torch

    from dualperturb.evaluation.gallery import gallery_arrays
    from dualperturb.files import replacing
    from stages.subject import shown, subject

    settings = params(dataset)
    with timed(dataset, "gallery"):
        subjects = {
            classifier_name(*one[:2]): subject(
                dataset, *one, settings, settings.of(dataset).evaluate.examples
            )
            for one in shown(settings)
        }
        side = next(iter(subjects.values())).data.side
        # Many passes of a handful of images: on a CPU a second thread only waits for the first.
        torch.set_num_threads(1)
        arrays = gallery_arrays(subjects, attacks(settings, dataset, side))
        with replacing(GALLERY / f"{dataset}.npz") as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)


def attacks(settings: Params, dataset: str, side: int) -> dict[str, tuple[str, ExampleMaker]]:
    """Name -> norm and attack: PGD, dual at Fig. 1's salience weights and under its bound, and JSMA."""
    from dataclasses import replace

    from dualperturb.attacks.jsma import jsma
    from dualperturb.evaluation.measuring.scoring import attack_batch
    from stages.subject import attack_settings, threats

    fig1 = settings.figures.fig1
    found: dict[str, tuple[str, ExampleMaker]] = {}
    for norm in settings.norms:
        chosen = attack_settings(dataset, norm, settings)
        bounded = replace(chosen, min_foreground_score=fig1.min_foreground_score)
        used = threats(settings, dataset, norm, side)
        asked = [("PGD", used["pgd"], 0.0, chosen)]
        asked += [(f"dual, weight {one:g}", used["dual"], one, chosen) for one in fig1.salience_weights]
        if settings.of(dataset).masks.model.has_gradient:
            asked += [("dual, constrained", used["dual"], 0.0, bounded)]
        for name, threat, weight, how in asked:
            found[f"{name} ({norm})"] = (
                norm,
                lambda subject, batch, t=threat, w=weight, s=how: attack_batch(subject, batch, t, w, s)[0],
            )
    jsma_settings = settings.of(dataset).evaluate.jsma
    found["JSMA (L0)"] = (
        "L0",
        lambda subject, batch: (
            jsma(
                subject.model,
                batch[1],
                batch[2],
                max_share=jsma_settings.shares[-1],
                pixels_per_step=jsma_settings.pixels_per_step,
            ).images
        ),
    )
    return found


if __name__ == "__main__":
    run(main)
