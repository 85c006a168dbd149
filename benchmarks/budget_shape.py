"""The shape of the budget, or just a larger one? Named defences under Dual-AutoAttack in several balls.

    python -m benchmarks.budget_shape [--workspace DIR] [--dataset NAME] [--images N] [--device cuda]
                                      [--out DIR] [--tiny]

DIR: where the pipeline ran in L2 with the defences to compare in `named`, by default this folder. For every
classifier of it: how many test images are classified rightly as they are, under the dual threat model at
{2, 20}, and under whole-image L2 budgets, by APGD on cross-entropy, DLR and targeted DLR. All budgets are at
the paper's scale and fixed (`benchmarks.shapes6`), whatever params.yaml says.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.common import Row, Table, in_set_up_process, parsed, parser, show
from benchmarks.shapes6 import SETTINGS, add_workspace, subject, threat
from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation.measuring.scoring import attack_images
from dualperturb.evaluation.strong import auto_attack_images

WHOLE = (2.0, 5.0, 10.0, 20.0)
STRONG = replace(SETTINGS, steps=100)  # as AutoAttack


def main(given: list[str] | None = None) -> None:
    options = parsed(add_workspace(parser(__doc__), images=200), given)
    show([Table("budget_shape", measured(options))], options.out)


def names(models: Path) -> list[str]:
    """Of all classifiers trained with L2 or with no norm; the paper's first."""
    found = [folder.name for folder in sorted(models.iterdir()) if (folder / "L2").is_dir()]
    return ["clean", *(f"{name}/L2" for name in sorted(found, key=lambda one: not one.startswith("at_")))]


def measured(options: Namespace) -> Iterator[Row]:
    models = options.workspace / "models" / options.dataset
    for name in ["clean"] if options.tiny else names(models):
        attacked = subject(options, name)
        side = attacked.data.side
        balls = {"dual": threat("L2", True, side)}
        balls |= {f"whole_{eps:g}": threat("L2", False, side, eps) for eps in WHOLE}
        nothing = attack_images(attacked, ThreatModel("L2", 0.0), 0.0, SETTINGS)
        row: Row = {"classifier": name, "images": len(nothing), "clean": int(nothing["correct"].sum())}
        for key, ball in balls.items():
            row[key] = int(auto_attack_images(attacked, ball, STRONG)["correct"].sum())
        yield row


if __name__ == "__main__":
    in_set_up_process(main)
