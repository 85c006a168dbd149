"""A sweep over nested budgets against each point attacked afresh, on AT-Dual of shapes6.

    python -m benchmarks.sweep [--workspace DIR] [--images N] [--out DIR] [--tiny]

DIR as in benchmarks.strength. The grids, steps and budgets are params.yaml's, and as in the pipeline the two
panels of the dual attack, over eps_f and over eps_b, are one sweep; one thread, processor time.
fresh: every point from its own start, one that two panels share once; nested: `evaluation.sweeps.sweep`,
from the largest budgets downwards, an image left alone once it is fooled. An image-step: one gradient of one
image.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from benchmarks.common import Counter, Row, Table, Target, clock, in_set_up_process, parsed, parser, show
from benchmarks.shapes6 import EPS_B, EPS_F, GRID, SETTINGS, add_workspace, subject, threat
from dualperturb.core.budgets import applied_radius
from dualperturb.evaluation.measuring.scoring import attack_images
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.evaluation.sweeps.points import Point, points, sweep

Run = Callable[[Subject, list[Point], str], list[int]]  # -> images right, one a point
SWEEPS = {"pgd": ("eps",), "dual": ("eps_f", "eps_b")}  # what is swept together -> its panels


def main(given: list[str] | None = None) -> None:
    options = parsed(add_workspace(parser(__doc__), images=200), given)
    rows = (row for norm in ("L2", "Linf") for name in SWEEPS for row in measured(options, name, norm))
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


def measured(options: Namespace, name: str, norm: str) -> list[Row]:
    """One row a run: seconds and image-steps, images right summed over the budgets and one by one."""
    attacked = subject(options, f"at_dual/{norm}")
    panels = [
        point
        for axis in SWEEPS[name]
        for point in points(axis, GRID[axis][norm], EPS_F[norm], EPS_B, 0.0, "cross_entropy")
    ]
    seconds, rows = clock(options.device, 1), []
    for run_name, run in RUNS.items():
        counter = Counter(attacked.model)
        found: list[int] = []
        taken = seconds(
            lambda r=run, f=found, c=counter: f.extend(r(replace(attacked, model=c), panels, norm))
        )
        rows.append(
            {
                "norm": norm,
                "attack": name,
                "run": run_name,
                "images": len(attacked.indices),
                "seconds": taken,
                "image_steps": counter.count,
                "right": sum(found),
                "right_by_budget": " ".join(map(str, found)),
            }
        )
    return rows


def fresh(attacked: Subject, panels: list[Point], norm: str) -> list[int]:
    side = attacked.data.side
    threats = [
        threat(norm, point.eps_b is not None, side, point.eps_f, point.eps_b or 0.0) for point in panels
    ]
    right = {
        chosen: int(attack_images(attacked, chosen, 0.0, SETTINGS)["correct"].sum())
        for chosen in dict.fromkeys(threats)
    }
    return [right[chosen] for chosen in threats]


def nested(attacked: Subject, panels: list[Point], norm: str) -> list[int]:
    side = attacked.data.side
    table, _ = sweep(
        attacked, panels, norm, lambda value: applied_radius(norm, value, side, "auto"), SETTINGS
    )
    return [round(value) for value in table["accuracy"] * len(attacked.indices)]


RUNS: dict[str, Run] = {"fresh": fresh, "nested": nested}


if __name__ == "__main__":
    in_set_up_process(main)
