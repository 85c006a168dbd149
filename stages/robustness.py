"""Panels of Fig. 3, 4 or 5 for one defence: an attack in one norm swept over one axis, or over two.

SWEEP is eps (PGD), dual (the dual-perturbation attack over eps_f and over eps_b, the other fixed: two panels
that share a point), or salience_weight. Every classifier of the defence is measured, one for each norm that
it is trained with and each training; over the salience weight, only those trained with NORM, which is Fig.
3's: if it is not among the norms of params.yaml, the table has no rows, and nothing reads it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dualperturb.params import Params
from dualperturb.processes import in_processes
from stages.by_norm import at_once
from stages.common import SWEEP_TABLES, SWEEPS, params, run, timed

if TYPE_CHECKING:
    import pandas as pd

    from stages.subject import Classifier


def main(sweep: str, dataset: str, defence: str, norm: str) -> None:
    import pandas as pd

    from dualperturb import launch
    from dualperturb.files import write_csv

    settings = params(dataset, defence, sweep, norm)
    with timed(dataset, f"{sweep}_{defence}", norm):
        if norm not in settings.norms:
            measured = [(pd.DataFrame(columns=["axis"]),) * 2]
        else:
            parts = [
                ((defence, one, training), values)
                for training in settings.seeds.training
                for one in trained_for(sweep, defence, norm, settings)
                for values in together(sweep, dataset, norm, settings)
            ]
            # The other sweeps are measured in every norm, and their norms share the cores already.
            processes = at_once(settings) if sweep == "salience_weight" else 1
            measured = list(in_processes(partial(panels, sweep, dataset, norm), parts, processes))
        if launch.rank() > 0:
            return
        for tables, suffix in zip(zip(*measured, strict=True), ("", ".images"), strict=True):
            whole = pd.concat(tables, ignore_index=True)
            for axis in SWEEPS[sweep]:
                path = SWEEP_TABLES / dataset / axis / defence / f"{norm}{suffix}.csv"
                write_csv(path, whole[whole["axis"] == axis])


def trained_for(sweep: str, defence: str, norm: str, settings: Params) -> tuple[str | None, ...]:
    """The norms of training of the classifiers measured."""
    every = settings.trained(defence)
    alike = tuple(one for one in every if one in (None, norm))  # as the paper's Fig. 3 has it
    return alike if sweep == "salience_weight" else every


def together(sweep: str, dataset: str, norm: str, settings: Params) -> list[dict[str, tuple[float, ...]]]:
    """Axis -> values, of the points that are measured together: all, or those of one salience weight."""
    if sweep == "salience_weight":
        return [{sweep: (weight,)} for weight in settings.of(dataset).evaluate.salience_weights]
    grid = settings.grid(dataset, norm)
    return [{axis: getattr(grid, axis) for axis in SWEEPS[sweep]}]


def panels(
    sweep: str, dataset: str, norm: str, part: tuple[Classifier, dict[str, tuple[float, ...]]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of points and of images for one classifier at points that are measured together."""
    from dualperturb.evaluation.sweeps import points as sweeps
    from stages.subject import attack_settings, identity, subject

    (one, values), settings = part, params()
    how = attack_settings(dataset, norm, settings, bounded=sweep == "dual")
    measured = subject(dataset, *one, settings)
    loss, fig3 = settings.of(dataset).evaluate.loss, settings.figures.fig3
    budgets = (fig3.eps_f, fig3.eps_b) if sweep == "salience_weight" else settings.budgets(norm)
    fixed = (*budgets, settings.salience_weight[dataset], loss)
    table, images = sweeps.sweep(
        measured,
        [point for axis, of_axis in values.items() for point in sweeps.points(axis, of_axis, *fixed)],
        norm,
        lambda value: settings.radius(dataset, norm, value, measured.data.side),
        how,
    )
    own = identity(dataset, *one)
    for place, (name, value) in enumerate(own.items()):
        table.insert(place, name, value)
    for name in ("training", "trained_norm"):
        images.insert(0, name, own[name])
    return table, images


def command() -> None:
    run(main, ranked=True)


if __name__ == "__main__":
    command()
