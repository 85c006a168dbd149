"""Transferability: examples of PGD and of the dual attack, made on each classifier, tried on every other."""

from __future__ import annotations

from stages.common import MEASURES, classifier_name, params, run, timed


def main(dataset: str, norm: str) -> None:
    import pandas as pd

    from dualperturb import launch
    from dualperturb.evaluation.measuring.scoring import budget_columns
    from dualperturb.evaluation.transfer import transfer
    from dualperturb.files import write_csv
    from stages.subject import attack_settings, classifiers, identity, subject, threats

    settings = params(dataset, norm=norm)
    with timed(dataset, "transfer", norm):
        names = {classifier_name(*one): one for one in classifiers(settings)}
        n = settings.of(dataset).evaluate.transfer.n
        subjects = {name: subject(dataset, *one, settings, n) for name, one in names.items()}
        side = next(iter(subjects.values())).data.side
        used = threats(settings, dataset, norm, side)
        weights = {"pgd": 0.0, "dual": settings.salience_weight[dataset]}
        asked = {attack: (threat, weights[attack]) for attack, threat in used.items()}
        table = transfer(subjects, asked, attack_settings(dataset, norm, settings))
        eps_f, eps_b = settings.budgets(norm)
        budgets = {
            attack: budget_columns(threat, eps_f, eps_b if attack == "dual" else None)
            for attack, threat in used.items()
        }
        rows = [
            identity(dataset, *names[row.pop("target")])
            | {"source": row.pop("source"), "axis": "transfer", "salience_weight": weights[row["attack"]]}
            | {"steps": settings.of(dataset).evaluate.steps[norm]}
            | budgets[row["attack"]]
            | row
            for row in table.to_dict("records")
        ]
        if launch.rank() == 0:
            write_csv(MEASURES / dataset / "transfer" / f"{norm}.csv", pd.DataFrame(rows))


def command() -> None:
    run(main, ranked=True)


if __name__ == "__main__":
    command()
