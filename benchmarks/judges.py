"""Does an attack that holds the foreground score hold it under saliency models that it has not seen?

    python -m benchmarks.judges [--workspace DIR] [--images N] [--device cuda] [--out DIR] [--tiny]

DIR: where the pipeline ran, by default this folder. The dual-perturbation attack in L2 at params.yaml's
budgets, plain, and under the constraint "clean" with each saliency model alone, with three and with all four,
and under "clean+0.05" with each alone and with three. For each judge: whether it was climbed, its mean change
of score, and how many images were fooled whose score by this judge is not below the clean image's. Images: as
in `constraint`.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from benchmarks.common import Row, Table, in_set_up_process, parsed, parser, show
from benchmarks.constraint import BATCH, STEP_SIZE, STEPS, held_out
from benchmarks.shapes6 import add_workspace, subject, threat
from dualperturb.core.pgd import pgd
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.saliency import foreground_score, saliency_model

JUDGES = ("builtin", "contrast", "frequency_tuned", "spectral_residual")
CLASSIFIERS = ("clean", "at_pgd/L2", "at_dual/L2")
LEFT_OUT = (
    *combinations(JUDGES, 1),
    *combinations(JUDGES, 3),
)  # climbed by attacks that leave a judge unseen
# Each attack: the models climbed, and the bound held under each of them.
ATTACKS = (
    ((), "none"),
    *((climbed, "clean") for climbed in (*LEFT_OUT, JUDGES)),
    *((climbed, "clean+0.05") for climbed in LEFT_OUT),
)


def main(given: list[str] | None = None) -> None:
    options = parsed(add_workspace(parser(__doc__), images=200), given)
    show([Table("judges", measured(options))], options.out)


def measured(options: Namespace) -> Iterator[Row]:
    models = {name: saliency_model(name) for name in JUDGES}
    for name in CLASSIFIERS:
        attacked = held_out(subject(options, name), options)
        for climbed, bound in ATTACKS:
            how: dict[str, Any] = {"steps": 4 if options.tiny else STEPS}
            if climbed:
                how |= {"saliency": [models[one] for one in climbed], "min_foreground_score": bound}
            fooled, before, after = outcomes(attacked, models, how)
            for judge in JUDGES:
                kept = fooled & (after[judge] >= before[judge])
                yield {
                    "classifier": name,
                    "climbed": " ".join(climbed) or "none",
                    "bound": bound,
                    "judge": judge,
                    "seen": judge in climbed,
                    "images": len(fooled),
                    "fooled": int(fooled.sum()),
                    "change": float((after[judge] - before[judge]).mean()),
                    "fooled_and_not_below": int(kept.sum()),
                }


def outcomes(
    attacked: Subject, models: dict[str, Any], how: dict[str, Any]
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Whether each image was fooled, and its score before and after the attack by each judge, each (N,)."""
    fooled = []
    scores: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in models}
    for batch in attacked.batches(BATCH):
        ball = threat("L2", True, attacked.data.side).ball(batch.foreground)
        asked = {"step_size": STEP_SIZE, "indices": batch.indices.tolist(), **how}
        result = pgd(attacked.model, batch.images, batch.labels, ball, **asked)
        fooled.append(result.success)
        with torch.no_grad():
            for name, model in models.items():
                one, other = (
                    foreground_score(model(images), batch.foreground)
                    for images in (batch.images, result.images)
                )
                scores[name].append((one, other))
    before, after = (
        {name: torch.cat([pair[place] for pair in pairs]) for name, pairs in scores.items()}
        for place in (0, 1)
    )
    return torch.cat(fooled), before, after


if __name__ == "__main__":
    in_set_up_process(main)
