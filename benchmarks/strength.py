"""Are attacks with bfloat16 gradients as strong as those in fp32? Accuracies of the pipeline's classifiers.

    python -m benchmarks.strength [--workspace DIR] [--images N] [--device cuda] [--out DIR] [--tiny]

DIR: where the pipeline ran, by default this folder; of it data/prepared/shapes6, data/masks/shapes6 and
models/shapes6. PGD and the dual-perturbation attack at the budgets, steps and step size of params.yaml, with
the same random starts in both precisions; every accuracy is the fp32 classifier's on the final images.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from benchmarks.common import Row, Table, Target, in_set_up_process, parsed, parser, show
from benchmarks.shapes6 import CLASSIFIERS, SETTINGS, add_workspace, subject, threat
from dualperturb.evaluation.measuring.scoring import attack_images


def main(given: list[str] | None = None) -> None:
    made = add_workspace(parser(__doc__), images=200)
    options = parsed(made, given)
    show([Table("strength", measured(options))], options.out)


def targets(rows: pd.DataFrame) -> list[Target]:
    lost = rows["right_bf16"].sum() - rows["right_fp32"].sum()
    what = "points of strength lost in bf16, all attacks together"
    return [Target(3, what, 100 * lost / rows["images"].sum(), 0.5, True)]


def measured(options: Namespace) -> Iterator[Row]:
    for name in CLASSIFIERS:
        attacked = subject(options, name)
        for attack, norm in (("PGD", "L2"), ("dual", "L2"), ("PGD", "Linf"), ("dual", "Linf")):
            chosen = threat(norm, attack == "dual", attacked.data.side)
            right = {
                precision: attack_images(attacked, chosen, 0.0, replace(SETTINGS, precision=precision))
                for precision in ("fp32", "bf16")
            }
            count = len(attacked.indices)
            fp32, bf16 = (int(right[precision]["correct"].sum()) for precision in ("fp32", "bf16"))
            yield {
                "classifier": name,
                "attack": attack,
                "norm": norm,
                "images": count,
                "right_fp32": fp32,
                "right_bf16": bf16,
                "points_lost": 100 * (bf16 - fp32) / count,
            }


if __name__ == "__main__":
    in_set_up_process(main)
