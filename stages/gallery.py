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
    """Name -> norm and attack: PGD, dual at the examples' salience weights and balanced dual, and JSMA."""
    from dataclasses import replace

    from dualperturb.attacks.jsma import jsma
    from dualperturb.evaluation.measuring.scoring import attack_batch
    from stages.subject import attack_settings, threats

    chosen, weights = attack_settings(dataset, settings), settings.examples.salience_weights
    found: dict[str, tuple[str, ExampleMaker]] = {}
    for norm in settings.norms:
        used = threats(settings, dataset, norm, side)
        asked = [("PGD", used["pgd"], 0.0, "paper")]
        asked += [(f"dual, weight {weight:g}", used["dual"], weight, "paper") for weight in weights]
        if settings.of(dataset).masks.model.has_gradient:
            asked += [("dual, balanced", used["dual"], 1.0, "balanced")]
        for name, threat, weight, objective in asked:
            own = replace(chosen, objective=objective)
            found[f"{name} ({norm})"] = (
                norm,
                lambda subject, batch, t=threat, w=weight, s=own: attack_batch(subject, batch, t, w, s)[0],
            )
    jsma_settings = settings.of(dataset).evaluate.jsma
    found["JSMA (L0)"] = (
        "L0",
        lambda subject, batch: (
            jsma(
                subject.model,
                batch[1],
                batch[2],
                max_share=jsma_settings.share,
                pixels_per_step=jsma_settings.pixels_per_step,
            ).images
        ),
    )
    return found


if __name__ == "__main__":
    run(main)
