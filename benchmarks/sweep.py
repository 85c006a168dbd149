"""A sweep over nested budgets against each point attacked afresh, on AT-Dual of shapes6.

    python -m benchmarks.sweep [--workspace DIR] [--images N] [--out DIR] [--tiny]

DIR as in benchmarks.strength. The grids, steps and budgets are params.yaml's; one thread, processor time,
once each. fresh: every point from its own start; nested: `evaluation.sweeps.sweep`, survivors alone; early:
an image is left alone once it is fooled; downwards: early, from the largest budget to the smallest, where
what withstands a budget is right at the smaller ones; carried: an attack starts where the one before ended.
An image-step is one gradient of one image.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks.common import Counter, Row, Table, Target, clock, in_set_up_process, parsed, parser, show
from benchmarks.shapes6 import EPS_B, EPS_F, GRID, SETTINGS, add_workspace, subject, threat
from dualperturb.core.adversaries import ThreatModel
from dualperturb.core.budgets import applied_radius
from dualperturb.core.seeds import image_seeds
from dualperturb.core.threat import Ball
from dualperturb.evaluation.scoring import Subject, attack_images
from dualperturb.evaluation.sweeps import points, sweep

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


def upwards(attacked: Subject, axis: str, norm: str, carry: bool) -> list[int]:
    """From the smallest budget; what is fooled there is fooled at every larger one."""
    return _ordered(attacked, axis, norm, carry, up=True)


def downwards(attacked: Subject, axis: str, norm: str, carry: bool) -> list[int]:
    """From the largest budget; what withstands it withstands every smaller one."""
    return _ordered(attacked, axis, norm, carry, up=False)


RUNS: dict[str, Run] = {
    "fresh": fresh,
    "nested": nested,
    "early": partial(upwards, carry=False),
    "early, carried": partial(upwards, carry=True),
    "downwards": partial(downwards, carry=False),
    "downwards, carried": partial(downwards, carry=True),
}


def _threat(axis: str, norm: str, value: float, side: int) -> ThreatModel:
    if axis == "eps_b":
        return threat(norm, True, side, eps_b=value)
    return threat(norm, axis == "eps_f", side, eps_f=value)


def _ordered(attacked: Subject, axis: str, norm: str, carry: bool, up: bool) -> list[int]:
    budgets = GRID[axis][norm]
    right = np.zeros(len(budgets), dtype=int)
    for chosen, images, labels, foreground in attacked.batches(SETTINGS.batch_size):
        rows, delta = torch.arange(len(images), device=images.device), None
        seeds = image_seeds(SETTINGS.seed, chosen.tolist(), 0)
        for place in range(len(budgets)) if up else reversed(range(len(budgets))):
            model = _threat(axis, norm, budgets[place], attacked.data.side)
            moves = bool(model.eps_f or model.eps_b)
            ball = model.ball(foreground[rows])
            if delta is None or not carry or not delta.any():
                delta = ball.start(images[rows], [seeds[row] for row in rows.tolist()])
            delta, fooled = until_fooled(
                attacked.model, images[rows], labels[rows], ball, delta, SETTINGS.steps if moves else 0
            )
            right[place if up else slice(place + 1)] += int((~fooled).sum())
            left = ~fooled if up else fooled
            rows, delta = rows[left], delta[left]
            if not len(rows):
                break
    return right.tolist()


def until_fooled(
    model: nn.Module, images: Tensor, labels: Tensor, ball: Ball, start: Tensor, steps: int
) -> tuple[Tensor, Tensor]:
    """PGD that leaves an image alone once it is fooled: perturbations, and which are fooled, bool (N,)."""
    found = _clip(images, ball.project(start))
    fooled = torch.zeros_like(labels, dtype=torch.bool)
    left = torch.arange(len(images), device=images.device)
    for step in range(steps + 1):
        seen = images[left] + found[left]
        with torch.set_grad_enabled(step < steps):
            logits = model(seen.requires_grad_(step < steps))
        stands = logits.argmax(dim=1) == labels[left]
        fooled[left[~stands]] = True
        if step == steps or not stands.any():
            break
        loss = torch.nn.functional.cross_entropy(logits, labels[left], reduction="sum")
        (gradient,) = torch.autograd.grad(loss, seen)
        left = left[stands]
        own = ball.only(left)
        moved = own.project(found[left] + own.ascend(gradient[stands], SETTINGS.step_size))
        found[left] = _clip(images[left], moved)
    return found, fooled


def _clip(images: Tensor, delta: Tensor) -> Tensor:
    return (images + delta).clamp(0, 1) - images


if __name__ == "__main__":
    in_set_up_process(main)
