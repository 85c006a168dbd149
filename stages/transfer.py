"""Transferability: examples of PGD and of the dual attack, made on each classifier, tried on every other.

Both are of the same training.
"""

from __future__ import annotations

from typing import Any

from dualperturb.params import Params
from stages.common import MEASURES, classifier_name, params, run, timed


def main(dataset: str, norm: str) -> None:
    import pandas as pd

    from dualperturb import launch
    from dualperturb.files import write_csv

    settings = params(dataset, norm=norm)
    with timed(dataset, "transfer", norm):
        rows = [row for seed in settings.seeds.training for row in among(seed, dataset, norm, settings)]
        if launch.rank() == 0:
            write_csv(MEASURES / dataset / "transfer" / f"{norm}.csv", pd.DataFrame(rows))


def among(training: int, dataset: str, norm: str, settings: Params) -> list[dict[Any, Any]]:
    """The rows of one training's classifiers: each on the examples of each."""
    from dualperturb.evaluation.measuring.scoring import budget_columns
    from dualperturb.evaluation.transfer import transfer
    from stages.subject import attack_settings, classifiers, identity, subject, threats

    chosen = [one for one in classifiers(settings) if one[2] == training]
    names = {classifier_name(*one[:2]): one for one in chosen}
    n = settings.of(dataset).evaluate.transfer.n
    subjects = {name: subject(dataset, *one, settings, n) for name, one in names.items()}
    side = next(iter(subjects.values())).data.side
    used = threats(settings, dataset, norm, side)
    weights = {"pgd": 0.0, "dual": settings.salience_weight[dataset]}
    asked = {attack: (threat, weights[attack]) for attack, threat in used.items()}
    how = attack_settings(dataset, norm, settings, bounded=True)
    table = transfer(subjects, asked, how)
    eps_f, eps_b = settings.budgets(norm)
    budgets: dict[str, dict[str, Any]] = {
        attack: {
            **budget_columns(threat, eps_f, eps_b if attack == "dual" else None),
            "min_foreground_score": how.bound(threat),
        }
        for attack, threat in used.items()
    }
    return [
        identity(dataset, *names[row.pop("target")])
        | {"source": row.pop("source"), "axis": "transfer", "salience_weight": weights[row["attack"]]}
        | {"steps": how.steps}
        | budgets[row["attack"]]
        | row
        for row in table.to_dict("records")
    ]


def command() -> None:
    run(main, ranked=True)


if __name__ == "__main__":
    command()
