"""One panel of Fig. 4 or Fig. 3 for one classifier: an attack swept over one axis.

AXIS is eps (PGD), eps_f or eps_b (dual-perturbation attack, the other budget fixed), or salience_weight.
"""

from __future__ import annotations

from dualperturb.params import Params
from stages.common import CELLS, params, run, timed


def main(axis: str, dataset: str, defence: str) -> None:
    from dualperturb.evaluation.sweeps import points, sweep
    from dualperturb.files import write_csv
    from stages.subject import attack_settings, subject

    settings = params(dataset, defence, axis)
    with timed(dataset, f"{axis}_{defence}"):
        measured = subject(dataset, defence, settings)
        panel = points(
            axis,
            axis_values(settings, dataset, axis),
            settings.eps_f,
            settings.eps_b,
            settings.salience_weight[dataset],
            settings.evaluate[dataset].objective,
        )
        table, images = sweep(
            measured,
            panel,
            settings.norm,
            lambda value: settings.radius(dataset, value, measured.data.side),
            attack_settings(dataset, settings),
        )
        table.insert(0, "dataset", dataset)
        table.insert(1, "defence", defence)
        write_csv(CELLS / dataset / axis / f"{defence}.csv", table)
        write_csv(CELLS / dataset / axis / f"{defence}.images.csv", images)


def axis_values(settings: Params, dataset: str, axis: str) -> tuple[float, ...]:
    if axis == "salience_weight":
        return settings.evaluate[dataset].salience_weights
    values: tuple[float, ...] = getattr(settings.grid(dataset), axis)
    return values


if __name__ == "__main__":
    run(main)
