"""Unsuspicious adversarial accuracy: attacks with and without a bound on the foreground score, judged by
several saliency models; and the perceptual distances of their examples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dualperturb.params import Params
from dualperturb.params.unsuspicious import CONTROL
from stages.common import MEASURES, params, run, saliency, timed

if TYPE_CHECKING:
    import pandas as pd

    from dualperturb.core.objectives import Saliency
    from dualperturb.core.threat_model import ThreatModel
    from dualperturb.evaluation.measuring.subject import Subject
    from dualperturb.evaluation.unsuspicious.outcomes import Attack


def main(dataset: str, norm: str) -> None:
    import pandas as pd

    from dualperturb.files import write_csv
    from stages.subject import classifiers, identity, subject, threats

    settings = params(dataset, norm=norm)
    asked = settings.of(dataset).evaluate.unsuspicious
    rows, images = [], []
    with timed(dataset, "unsuspicious", norm):
        models = judges(settings, dataset)
        for one in classifiers(settings, norm):
            own = identity(dataset, *one)
            attacked = subject(dataset, *one, settings, asked.n)
            used = threats(settings, dataset, norm, attacked.data.side)
            runs = attempts(settings, dataset, attacked, used, models)
            rows += [own | row for row in measured(settings, dataset, used, runs, list(models))]
            images += [
                table.assign(**own, attack=name, run=place)
                for name, tables in runs.items()
                for place, table in enumerate(tables)
            ]
        folder = MEASURES / dataset / "unsuspicious"
        write_csv(folder / f"{norm}.csv", pd.DataFrame(rows))
        write_csv(folder / f"{norm}.images.csv", pd.concat(images, ignore_index=True))


def judges(settings: Params, dataset: str) -> dict[str, Saliency]:
    """The models that judge, by name: that of masks.model first, the control last."""
    own, asked = settings.of(dataset).masks.model, settings.of(dataset).evaluate.unsuspicious
    every = [own, *asked.guides, *asked.judges, type(own)(name=CONTROL)]
    return {name: saliency(model) for name, model in {model.name: model for model in every}.items()}


def attacks(
    settings: Params, dataset: str, used: dict[str, ThreatModel], models: dict[str, Saliency]
) -> dict[str, list[Attack]]:
    """The attacks by their names in the results, each with its runs."""
    from dualperturb.evaluation.unsuspicious.outcomes import Attack

    asked, dual = settings.of(dataset).evaluate.unsuspicious, used["dual"]
    guides = tuple(models[model.name] for model in asked.guides)
    found = {
        "pgd": [Attack(used["pgd"])],
        "dual": [Attack(dual)],
        "sum": [Attack(dual, asked.salience_weight)] if asked.salience_weight else [],
        "constrained": [Attack(dual, bound=bound) for bound in asked.bounds],
        "guided": [Attack(dual, bound=f"clean+{asked.reserve:.12f}", guides=guides)] if guides else [],
    }
    return {name: runs for name, runs in found.items() if runs}


def attempts(
    settings: Params,
    dataset: str,
    attacked: Subject,
    used: dict[str, ThreatModel],
    models: dict[str, Saliency],
) -> dict[str, list[pd.DataFrame]]:
    """Every run's outcomes, and last those of the images as they are: an attacker may leave them so."""
    from dualperturb.core.threat_model import ThreatModel
    from dualperturb.evaluation.perceptual import ssim_distance
    from dualperturb.evaluation.unsuspicious.outcomes import Attack, outcomes
    from stages.subject import attack_settings

    norm = used["dual"].norm
    how = attack_settings(dataset, norm, settings)

    def outcome(attack: Attack, shown: bool = False) -> pd.DataFrame:
        """shown: with distances, which take longer than the attack."""
        return outcomes(attacked, attack, models, how, ssim_distance if shown else None)

    nothing = outcome(Attack(ThreatModel(norm, 0.0, 0.0)))
    every = attacks(settings, dataset, used, models)
    return {
        name: [outcome(first, shown=True), *map(outcome, others), nothing]
        for name, (first, *others) in every.items()
    }


def measured(
    settings: Params,
    dataset: str,
    used: dict[str, ThreatModel],
    runs: dict[str, list[pd.DataFrame]],
    names: list[str],
) -> list[dict[str, Any]]:
    """One classifier's rows of the results, but for its identity."""
    from dualperturb.evaluation.measuring.scoring import budget_columns
    from dualperturb.evaluation.unsuspicious.tables import bound_rows, judge_rows

    chosen, norm = settings.of(dataset).evaluate, used["dual"].norm
    eps_f, eps_b = settings.budgets(norm)
    plain = budget_columns(used["pgd"], eps_f, None)
    both = budget_columns(used["dual"], eps_f, eps_b)
    unseen = [model.name for model in chosen.unsuspicious.judges]
    weight = chosen.unsuspicious.salience_weight
    return [
        row
        | (plain if row["attack"] == "pgd" else both)
        | {"salience_weight": weight if row["attack"] == "sum" else 0.0, "steps": chosen.steps[norm]}
        for row in (*bound_rows(runs, names[0]), *judge_rows(runs, names, unseen))
    ]


def command() -> None:
    run(main)


if __name__ == "__main__":
    command()
