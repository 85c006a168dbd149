"""The health checks of the attack on every classifier, in the dual threat model of one norm."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dualperturb.errors import UserError
from dualperturb.params import Params
from stages.common import (
    HEALTH,
    MASKS,
    MEASURES,
    PREPARED,
    SWEEP_TABLES,
    classifier_name,
    history_path,
    params,
    run,
    timed,
)

if TYPE_CHECKING:
    import pandas as pd

    from dualperturb.evaluation.health.training import Trained
    from dualperturb.evaluation.measuring.subject import Subject

_MEASURED = ("defence", "trained_norm", "training", "attack", "accuracy", "n")
SWEEP_COLUMNS = (*_MEASURED, "norm", "axis", "value", "salience_weight")
TRANSFER_COLUMNS = (*_MEASURED, "source")


def main(dataset: str, norm: str) -> None:
    import pandas as pd

    from dualperturb.evaluation.health.checks import health
    from dualperturb.files import read_csv, write_csv
    from stages.subject import attack_settings, classifiers, identity, subject, threats

    settings = params(dataset, norm=norm)
    chosen = settings.of(dataset).evaluate.health
    transferred = read_csv(MEASURES / dataset / "transfer" / f"{norm}.csv", TRANSFER_COLUMNS)
    tables = []
    with timed(dataset, "health", norm):
        for defence, trained, training in classifiers(settings, norm):
            own = identity(dataset, defence, trained, training)
            measured = subject(dataset, defence, trained, training, settings, chosen.n)
            swept = pd.concat(
                [
                    read_csv(SWEEP_TABLES / dataset / axis / defence / f"{norm}.csv", SWEEP_COLUMNS)
                    for axis in ("eps", "eps_f", "eps_b")
                ]
            )
            onto = transferred[(transferred["attack"] == "dual") & _is(transferred, own)]
            table = health(
                measured,
                threats(settings, dataset, norm, measured.data.side)["dual"],
                attack_settings(dataset, norm, settings),
                swept[_is(swept, own)],
                onto.assign(target=classifier_name(defence, trained)),
                _trained(dataset, defence, trained, training, settings, measured),
            )
            tables.append(table.assign(**own, norm=norm))
        write_csv(HEALTH / dataset / f"{norm}.csv", pd.concat(tables, ignore_index=True))


def _is(table: pd.DataFrame, own: dict[str, str | int]) -> pd.Series:
    names = ["defence", "trained_norm", "training"]
    return (table[names] == [own[name] for name in names]).all(axis="columns")


def _trained(
    dataset: str, defence: str, norm: str | None, training: int, settings: Params, measured: Subject
) -> Trained | None:
    """The classifier with as many training images as test images, or all there are; None if training made
    no adversarial examples."""
    from dualperturb.attacks.adversary import PgdAdversary
    from dualperturb.core.images import load_foreground, load_split
    from dualperturb.evaluation.health.training import Trained
    from dualperturb.training.settings import training_adversary, training_masks, training_settings

    data = load_split(PREPARED / dataset, "train")
    adversary = training_adversary(settings, dataset, defence, norm, data.side, lambda _: measured.saliency)
    if not isinstance(adversary, PgdAdversary):
        return None
    seen = replace(
        measured,
        data=data,
        foreground=training_masks(
            settings, dataset, defence, load_foreground(MASKS / dataset, "train"), training
        ),
        indices=data.choose(min(len(measured.indices), len(data)), settings.seeds.data),
    )
    epochs = training_settings(settings, dataset, defence, training).epochs
    logged = _logged(history_path(dataset, defence, norm, training), epochs)
    # So few images are not worth compiling for.
    return Trained(seen, replace(adversary, compile="off"), logged)


def _logged(path: Path, epochs: int) -> float:
    """Accuracy of the last of all epochs. Raises UserError if the history has another number of them."""
    from dualperturb.files import read_csv

    history = read_csv(path, ("accuracy",))
    if len(history) != epochs:
        raise UserError(
            f"{path}: found {len(history)} epochs, expected the {epochs} of params.yaml; "
            "train again (dvc repro)"
        )
    return float(history["accuracy"].iloc[-1])


def command() -> None:
    run(main)


if __name__ == "__main__":
    command()
