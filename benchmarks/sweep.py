"""A sweep over nested budgets against each point attacked afresh, on AT-Dual of shapes6.

    python -m benchmarks.sweep [--workspace DIR] [--images N] [--out DIR] [--tiny]

DIR as in benchmarks.strength. The grids, steps and budgets are params.yaml's; one thread, processor time,
once each. fresh: every point from its own start; nested: `evaluation.sweeps.sweep`, survivors alone; nested,
early: an image whose margin turns negative is left alone; nested, early, carried: its attack starts, too,
where that at the budget before ended. An image-step is one gradient of one image.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks.common import Counter, Row, Table, Target, clock, in_set_up_process, parsed, parser, show
from benchmarks.shapes6 import EPS_B, EPS_F, GRID, SETTINGS, add_workspace, subject, threat
from dualperturb.attacks.adversaries import ThreatModel
from dualperturb.attacks.apgd import ball_of
from dualperturb.attacks.seeds import image_seeds
from dualperturb.budgets import applied_radius
from dualperturb.evaluation.scoring import Subject, attack_images
from dualperturb.evaluation.sweeps import points, sweep
from dualperturb.threat import Ball

EARLY, CARRIED = "nested, early", "nested, early, carried"
Run = Callable[[Subject, str, str], list[int]]  # (subject, axis, norm) -> images right, one a budget


def main(given: list[str] | None = None) -> None:
    options = parsed(add_workspace(parser(__doc__), images=200), given)
    rows = [row for norm in ("L2", "Linf") for axis in GRID for row in measured(options, axis, norm)]
    show([Table("sweep", rows)], options.out)


def targets(rows: pd.DataFrame) -> list[Target]:
    made = []
    for name in rows["run"].unique()[1:]:
        own, fresh = (rows[rows["run"] == run] for run in (name, "fresh"))
        worst = 100 * float((own["right"].to_numpy() - fresh["right"].to_numpy()).max() / own["images"].max())
        faster = fresh["seconds"].sum() / own["seconds"].sum()
        made.append(Target(2, f"sweeps, {name}: times faster than fresh", faster, 2.0, False))
        made.append(Target(2, f"sweeps, {name}: most points above fresh", worst, 0.5, True))
    return made


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


def early(attacked: Subject, axis: str, norm: str) -> list[int]:
    return _standing(attacked, axis, norm, carry=False)


def carried(attacked: Subject, axis: str, norm: str) -> list[int]:
    return _standing(attacked, axis, norm, carry=True)


RUNS: dict[str, Run] = {"fresh": fresh, "nested": nested, EARLY: early, CARRIED: carried}


def _threat(axis: str, norm: str, value: float, side: int) -> ThreatModel:
    if axis == "eps_b":
        return threat(norm, True, side, eps_b=value)
    return threat(norm, axis == "eps_f", side, eps_f=value)


@dataclass
class Standing:
    """What still stands of one batch, and the perturbations that it withstood."""

    model: nn.Module
    images: Tensor
    labels: Tensor
    foreground: Tensor
    seeds: list[int]
    delta: Tensor | None = field(default=None)

    def keep(self, rows: Tensor) -> None:
        self.images, self.labels, self.foreground = (
            values[rows] for values in (self.images, self.labels, self.foreground)
        )
        self.seeds = [self.seeds[row] for row in rows.tolist()]
        self.delta = None if self.delta is None else self.delta[rows]


def _standing(attacked: Subject, axis: str, norm: str, carry: bool) -> list[int]:
    right = np.zeros(len(GRID[axis][norm]), dtype=int)
    for chosen, images, labels, foreground in attacked.batches(SETTINGS.batch_size):
        seeds = image_seeds(SETTINGS.seed, chosen.tolist(), 0)
        batch = Standing(attacked.model, images, labels, foreground, seeds)
        for place, value in enumerate(GRID[axis][norm]):
            chosen_threat = _threat(axis, norm, value, attacked.data.side)
            unmoved = not chosen_threat.eps_f and not chosen_threat.eps_b
            climb_until_fooled(
                batch, chosen_threat.ball(batch.foreground), carry, 0 if unmoved else SETTINGS.steps
            )
            right[place] += len(batch.labels)
            if not len(batch.labels):
                break
    return right.tolist()


def climb_until_fooled(batch: Standing, ball: Ball, carry: bool, steps: int) -> None:
    """Attack what stands; an image leaves as soon as it is fooled where it is."""
    carry &= batch.delta is not None and bool(batch.delta.any())
    delta = batch.delta if carry else ball.start(batch.images, batch.seeds)
    batch.delta = _clip(batch.images, ball.project(delta))
    for _ in range(steps):
        seen = (batch.images + batch.delta).requires_grad_(True)
        logits = batch.model(seen)
        fooled = logits.detach().argmax(dim=1) != batch.labels
        loss = torch.nn.functional.cross_entropy(logits, batch.labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, seen)
        if fooled.any():
            rows = (~fooled).nonzero().flatten()
            batch.keep(rows)
            ball, gradient = ball_of(ball, rows), gradient[rows]
        if not len(batch.labels):
            return
        moved = ball.project(batch.delta + ball.ascend(gradient, SETTINGS.step_size))
        batch.delta = _clip(batch.images, moved)
    with torch.no_grad():
        right = batch.model(batch.images + batch.delta).argmax(dim=1) == batch.labels
    batch.keep(right.nonzero().flatten())


def _clip(images: Tensor, delta: Tensor) -> Tensor:
    return (images + delta).clamp(0, 1) - images


if __name__ == "__main__":
    in_set_up_process(main)
