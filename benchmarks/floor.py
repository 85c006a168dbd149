"""An attack of K steps over its floor: K forward and backward passes with respect to the input alone.

    python -m benchmarks.floor [--device cuda] [--out DIR] [--tiny]

Ours: the loop (a random start, K steps, projections), as adversarial training runs it, and the whole call,
which also classifies what was found: one more forward pass. Foolbox's time includes that pass, too, the other
libraries' do not. The classifier is frozen and the same object for all. On a CPU: processor time
on one thread. ratio: to the floor, which takes its turns among the attacks. own_ratio: to the passes within
the same run of the attack, a share that other work on the machine hardly moves; the targets take it, where
it is there: on a CPU, for a GPU would have to be waited for at every pass.
"""

from __future__ import annotations

import contextlib
import time
from argparse import Namespace
from statistics import median
from typing import NamedTuple

import pandas as pd
from torch import Tensor, nn

from benchmarks.common import (
    Row,
    Table,
    Target,
    Timed,
    batch,
    classifier,
    climb,
    clock,
    in_set_up_process,
    in_turn,
    parsed,
    parser,
    ratio,
    show,
)
from benchmarks.peers import PEERS, Attack, Task, peers, quiet
from dualperturb.core.balls import Ball, Dual
from dualperturb.core.norms import L2, Linf
from dualperturb.core.objectives import Objective
from dualperturb.core.pgd import perturb, pgd

STEP_SIZE = 0.25
BALLS = {"L2": (L2(0.3), L2(2.0)), "Linf": (Linf(4 / 255), Linf(20 / 255))}  # foreground, background


class Case(NamedTuple):
    """limit: of PGD's loop over the floor; norms: those in which the peers are timed, too."""

    network: str
    side: int
    images: int
    steps: int
    limit: float
    norms: tuple[str, ...] = ("L2", "Linf")


CASES = [
    Case("three_layers", 32, 128, 10, 1.05),
    Case("resnet18", 32, 64, 6, 1.05, ("Linf",)),
    Case("resnet34", 224, 4, 2, 1.02, ("Linf",)),
]
GPU_CASES = [
    Case("three_layers", 32, 1024, 20, 1.05),
    Case("resnet18", 32, 512, 10, 1.05),
    Case("resnet34", 224, 64, 5, 1.02, ("Linf",)),
]
TINY = [Case("three_layers", 8, 2, 2, 1.05), Case("small_resnet", 16, 2, 1, 1.02, ("Linf",))]


def main(given: list[str] | None = None) -> None:
    options = parsed(parser(__doc__), given)
    cases = TINY if options.tiny else CASES if options.device.type == "cpu" else GPU_CASES
    show([Table("floor", (row for case in cases for row in measured(case, options)))], options.out)


def targets(rows: pd.DataFrame) -> list[Target]:
    made = []
    rows = rows.assign(ratio=rows["own_ratio"].fillna(rows["ratio"]))
    for (network, side), own in rows.groupby(["network", "side"], sort=False):
        loops, case = own[own["attack"].str.endswith("loop")], f"{network} at {side}x{side}"
        for _, row in loops[loops["attack"].str.startswith("PGD")].iterrows():
            made.append(
                Target(1, f"{row.attack} {row.norm} over the floor, {case}", row.ratio, row.limit, True)
            )
        for norm in loops["norm"].unique():
            ours = {row.attack: row.ratio for row in loops[loops["norm"] == norm].itertuples()}
            made.append(
                Target(1, f"dual over PGD, {norm}, {case}", ours["dual loop"] / ours["PGD loop"], 1.03, True)
            )
            others = own[(own["norm"] == norm) & own["peer"]]
            if len(others):
                fastest = others.loc[others["ratio"].idxmin()]
                what = f"PGD over the fastest peer ({fastest.attack}), {norm}, {case}"
                made.append(Target(1, what, ours["PGD loop"] / fastest.ratio, 1.0, True))
    return made


def measured(case: Case, options: Namespace) -> list[Row]:
    model = classifier(case.network, options.device)
    if options.device.type == "cpu":
        model = Timed(model, time.process_time)
    images, labels, foreground = batch(case.images, case.side, options.device)

    def floor() -> None:
        for _ in range(case.steps):
            climb(model, images, labels)

    runs: dict[tuple[str, str], Attack] = {}
    for norm, (inside, outside) in BALLS.items():
        for name, ball in (("PGD", inside), ("dual", Dual(inside, outside, foreground))):
            runs[f"{name} loop", norm] = loop(model, images, labels, ball, case.steps)
        if norm in case.norms:
            runs["PGD call", norm] = call(model, images, labels, inside, case.steps)
            task = Task(model, images, labels, norm, inside.radius, case.steps, STEP_SIZE)
            runs |= {(name, norm): run for name, run in peers(task).items()}
    named = {" ".join(key): run for key, run in runs.items()}
    seconds = clock(options.device, 1)
    with quiet(), model.watching() if isinstance(model, Timed) else contextlib.nullcontext():
        shares: dict[str, list[float]] = {}
        for name, run in named.items():
            named[name] = own_share(model, run, shares.setdefault(name, []))
        taken = in_turn({"floor": floor, **named}, options.repeats, seconds)
    common = {"network": case.network, "side": case.side, "images": case.images, "steps": case.steps}
    return [
        {
            **common,
            "attack": attack,
            "norm": norm,
            "ms_a_step": 1000 * median(taken[f"{attack} {norm}"]) / case.steps,
            "ratio": ratio(taken, f"{attack} {norm}", "floor"),
            "own_ratio": median(shares[f"{attack} {norm}"]),
            "limit": case.limit,
            "peer": attack in PEERS,
        }
        for attack, norm in runs
    ]


def own_share(model: nn.Module, run: Attack, shares: list[float]) -> Attack:
    """The run, which adds to `shares` its time over that of the passes within it."""
    if not isinstance(model, Timed):
        shares.append(float("nan"))
        return run

    def timed() -> None:
        model.seconds, begun = 0.0, time.process_time()
        run()
        shares.append((time.process_time() - begun) / model.seconds)

    return timed


def loop(model: nn.Module, images: Tensor, labels: Tensor, ball: Ball, steps: int) -> Attack:
    seeds = list(range(len(images)))
    return lambda: perturb(
        Objective(model, labels), images, ball, steps=steps, step_size=STEP_SIZE, seeds=seeds
    )


def call(model: nn.Module, images: Tensor, labels: Tensor, ball: Ball, steps: int) -> Attack:
    return lambda: pgd(model, images, labels, ball, steps=steps, step_size=STEP_SIZE)


if __name__ == "__main__":
    in_set_up_process(main)
