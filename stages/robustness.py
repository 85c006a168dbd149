"""One panel of Fig. 3, 4 or 5 for one defence: an attack in one norm swept over one axis.

AXIS is eps (PGD), eps_f or eps_b (dual-perturbation attack, the other fixed), or salience_weight. Every
classifier of the defence is measured, one for each norm that it is trained with; over the salience weight the
one trained with NORM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dualperturb.params import Params
from stages.common import CELLS, params, run, timed

if TYPE_CHECKING:
    import pandas as pd


def main(axis: str, dataset: str, defence: str, norm: str) -> None:
    import pandas as pd

    from dualperturb import launch
    from dualperturb.files import write_csv

    settings = params(dataset, defence, axis, norm)
    with timed(dataset, f"{axis}_{defence}", norm):
        every = settings.trained(defence)
        alike = tuple(one for one in every if one in (None, norm))  # as the paper's Fig. 3 has it
        chosen = alike if axis == "salience_weight" else every
        measured = [panel(axis, dataset, defence, norm, one, settings) for one in chosen]
        if launch.rank() > 0:
            return
        folder = CELLS / dataset / axis / defence
        for tables, suffix in zip(zip(*measured, strict=True), ("", ".images"), strict=True):
            write_csv(folder / f"{norm}{suffix}.csv", pd.concat(tables, ignore_index=True))


def panel(
    axis: str, dataset: str, defence: str, norm: str, trained: str | None, settings: Params
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of points and of images for the classifier trained with the norm `trained`."""
    from dualperturb.evaluation.sweeps import points, sweep
    from stages.subject import attack_settings, identity, subject

    measured = subject(dataset, defence, trained, settings)
    table, images = sweep(
        measured,
        points(
            axis,
            axis_values(settings, dataset, axis, norm),
            *settings.budgets(norm),
            settings.salience_weight[dataset],
            settings.evaluate[dataset].objective,
        ),
        norm,
        lambda value: settings.radius(dataset, norm, value, measured.data.side),
        attack_settings(dataset, settings),
    )
    for place, (name, value) in enumerate(identity(dataset, defence, trained).items()):
        table.insert(place, name, value)
    images.insert(0, "trained_norm", trained or "none")
    return table, images


def axis_values(settings: Params, dataset: str, axis: str, norm: str) -> tuple[float, ...]:
    if axis == "salience_weight":
        return settings.evaluate[dataset].salience_weights
    values: tuple[float, ...] = getattr(settings.grid(dataset, norm), axis)
    return values


def command() -> None:
    run(main, ranked=True)


if __name__ == "__main__":
    command()
