"""A sweep over nested budgets against each point attacked afresh, on AT-Dual of shapes6.

    python -m benchmarks.sweep [--workspace DIR] [--images N] [--out DIR] [--tiny]

DIR as in benchmarks.strength. The grids, steps and budgets are params.yaml's; one thread, processor time.
fresh: every point from its own start; nested: `evaluation.sweeps.sweep`, from the largest budget downwards;
upwards: the other order, where what is fooled is left out of the larger budgets, each begun where the one
before ended. In both an image is left alone once it is fooled. An image-step: one gradient of one image.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from benchmarks.common import Counter, Row, Table, Target, clock, in_set_up_process, parsed, parser, show
from benchmarks.shapes6 import EPS_B, EPS_F, GRID, SETTINGS, add_workspace, subject, threat
from dualperturb.attacks.nested import perturb_until_fooled
from dualperturb.core.adversaries import ThreatModel
from dualperturb.core.budgets import applied_radius
from dualperturb.core.objectives import Objective
from dualperturb.core.seeds import image_seeds
from dualperturb.evaluation.scoring import attack_images
from dualperturb.evaluation.subject import Subject
from dualperturb.evaluation.sweeps import points, sweep

Run = Callable[[Subject, str, str], list[int]]  # (subject, axis, norm) -> images right, one a budget


def main(given: list[str] | None = None) -> None:
    options = parsed(add_workspace(parser(__doc__), images=200), given)
    rows = (row for norm in ("L2", "Linf") for axis in GRID for row in measured(options, axis, norm))
    show([Table("sweep", rows)], options.out)


def targets(rows: pd.DataFrame) -> list[Target]:
    own, fresh = (rows[rows["run"] == run] for run in ("nested", "fresh"))
    pairs = zip(_counts(own), _counts(fresh), strict=True)
    worst = 100 * max(ours - theirs for ours, theirs in pairs) / own["images"].max()
    faster = fresh["seconds"].sum() / own["seconds"].sum()
    return [
        Target(2, "sweeps over nested budgets: times faster than fresh points", faster, 2.0, False),
        Target(2, "most points of accuracy that a budget of theirs is above its fresh one", worst, 0.5, True),
    ]


def _counts(rows: pd.DataFrame) -> list[int]:
    return [int(count) for counts in rows["right_by_budget"] for count in str(counts).split()]


def measured(options: Namespace, axis: str, norm: str) -> list[Row]:
    """One row a run: seconds and image-steps, accuracies summed over the budgets and one by one."""
    attacked = subject(options, f"at_dual/{norm}")
    seconds, rows = clock(options.device, 1), []
    for name, run in RUNS.items():
        counter = Counter(attacked.model)
        found: list[int] = []
        taken = seconds(lambda r=run, f=found, c=counter: f.extend(r(replace(attacked, model=c), axis, norm)))
        rows.append(
            {
                "norm": norm,
                "axis": axis,
                "run": name,
                "images": len(attacked.indices),
                "seconds": taken,
                "image_steps": counter.count,
                "right": sum(found),
                "right_by_budget": " ".join(map(str, found)),
            }
        )
    return rows


def fresh(attacked: Subject, axis: str, norm: str) -> list[int]:
    threats = (_threat(axis, norm, value, attacked.data.side) for value in GRID[axis][norm])
    return [int(attack_images(attacked, chosen, 0.0, SETTINGS)["correct"].sum()) for chosen in threats]


def nested(attacked: Subject, axis: str, norm: str) -> list[int]:
    panel = points(axis, GRID[axis][norm], EPS_F[norm], EPS_B, 0.0, "paper")
    side = attacked.data.side
    table, _ = sweep(attacked, panel, norm, lambda value: applied_radius(norm, value, side, "auto"), SETTINGS)
    return [round(value) for value in table["accuracy"] * len(attacked.indices)]


def upwards(attacked: Subject, axis: str, norm: str) -> list[int]:
    right = np.zeros(len(GRID[axis][norm]), dtype=int)
    for chosen, images, labels, foreground in attacked.batches(SETTINGS.batch_size):
        rows, seeds = torch.arange(len(images), device=images.device), image_seeds(SETTINGS.seed, chosen, 0)
        delta = None
        for place, value in enumerate(GRID[axis][norm]):
            model, objective = (
                _threat(axis, norm, value, attacked.data.side),
                Objective(attacked.model, labels[rows]),
            )
            ball = model.ball(foreground[rows])
            if delta is None or not delta.any():
                delta = ball.start(images[rows], [seeds[row] for row in rows.tolist()])
            steps = SETTINGS.steps if model.eps_f or model.eps_b else 0
            delta = perturb_until_fooled(
                objective, images[rows], ball, delta, steps=steps, step_size=SETTINGS.step_size
            )
            with torch.no_grad():
                stands = attacked.model(images[rows] + delta).argmax(dim=1) == labels[rows]
            rows, delta = rows[stands], delta[stands]
            right[place] += len(rows)
            if not len(rows):
                break
    return right.tolist()


RUNS: dict[str, Run] = {"fresh": fresh, "nested": nested, "upwards": upwards}


def _threat(axis: str, norm: str, value: float, side: int) -> ThreatModel:
    if axis == "eps_b":
        return threat(norm, True, side, eps_b=value)
    return threat(norm, axis == "eps_f", side, eps_f=value)


if __name__ == "__main__":
    in_set_up_process(main)
