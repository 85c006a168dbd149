"""Is the attack as strong as it claims? Checks of every classifier in the dual threat model of one norm."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from stages.common import CELLS, HEALTH, MEASURES, classifier_name, params, run, timed

if TYPE_CHECKING:
    import pandas as pd


def main(dataset: str, norm: str) -> None:
    import pandas as pd

    from dualperturb.evaluation.health import health
    from dualperturb.files import read_csv, write_csv
    from stages.subject import attack_settings, classifiers, identity, subject, threats

    settings = params(dataset, norm=norm)
    chosen = settings.evaluate[dataset].health
    transferred = read_csv(MEASURES / dataset / "transfer" / f"{norm}.csv")
    tables = []
    with timed(dataset, "health", norm):
        for defence, trained in classifiers(settings, norm):
            own = identity(dataset, defence, trained)
            measured = subject(dataset, defence, trained, settings, chosen.n)
            swept = pd.concat(
                [
                    read_csv(CELLS / dataset / axis / defence / f"{norm}.csv")
                    for axis in ("eps", "eps_f", "eps_b")
                ]
            )
            onto = transferred[(transferred["attack"] == "dual") & _is(transferred, own)]
            table = health(
                measured,
                threats(settings, dataset, norm, measured.data.side)["dual"],
                replace(attack_settings(dataset, settings), objective="paper"),
                swept[_is(swept, own)],
                onto.assign(target=classifier_name(defence, trained)),
            )
            tables.append(table.assign(**own, norm=norm))
        write_csv(HEALTH / dataset / f"{norm}.csv", pd.concat(tables, ignore_index=True))


def _is(table: pd.DataFrame, own: dict[str, str]) -> pd.Series:
    return (table["defence"] == own["defence"]) & (table["trained_norm"] == own["trained_norm"])


def command() -> None:
    run(main)


if __name__ == "__main__":
    command()
