"""The strongest attacks: long PGD, Dual-AutoAttack, and in plain threat models AutoAttack and C&W (L2)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dualperturb.params import Params
from stages.common import MEASURES, params, run, timed

if TYPE_CHECKING:
    import pandas as pd

    from dualperturb.core.threat_model import ThreatModel
    from dualperturb.evaluation.measuring.subject import Subject
    from stages.subject import Classifier


def main(dataset: str, defence: str, norm: str) -> None:
    import pandas as pd

    from dualperturb.files import write_csv

    settings = params(dataset, defence, norm=norm)
    trained = norm if norm in settings.trained(defence) else None
    with timed(dataset, f"strong_{defence}", norm):
        measured = [
            under_strong_attacks((defence, trained, training), norm, settings, dataset)
            for training in settings.seeds.training
        ]
        table = pd.DataFrame([row for rows, _ in measured for row in rows])
        if "square_queries" not in table:  # every table has AutoAttack's column
            table["square_queries"] = float("nan")
        folder = MEASURES / dataset / "strong" / defence
        write_csv(folder / f"{norm}.csv", table)
        if images := [table for _, tables in measured for table in tables]:
            write_csv(folder / f"{norm}.images.csv", pd.concat(images, ignore_index=True))


def under_strong_attacks(
    one: Classifier, norm: str, settings: Params, dataset: str
) -> tuple[list[dict[str, Any]], list[pd.DataFrame]]:
    """The rows of one classifier, and what `carlini_wagner` finds image by image."""
    import torch

    from dualperturb.core.budgets import NORMS
    from stages.subject import identity, subject, threats

    chosen, threads = settings.of(dataset).evaluate.strong, torch.get_num_threads()
    measured = subject(dataset, *one, settings, chosen.n)
    used = threats(settings, dataset, norm, measured.data.side)
    rows = own_attacks(measured, used, settings, dataset)
    images: list[pd.DataFrame] = []
    few = subject(dataset, *one, settings, chosen.library_n)
    # Thousands of passes of few images: on a CPU a second thread only waits for the first.
    torch.set_num_threads(1)
    if NORMS[norm].in_autoattack:
        rows.append(standard(few, used["pgd"], settings, chosen.square_queries))
    if norm == "L2":
        searched = subject(dataset, *one, settings, chosen.cw.n)
        found, images = carlini_wagner(searched, settings, dataset)
        rows += found
    torch.set_num_threads(threads)
    own = identity(dataset, *one)
    return [own | row for row in rows], [table.assign(**own) for table in images]


def own_attacks(
    measured: Subject, used: dict[str, ThreatModel], settings: Params, dataset: str
) -> list[dict[str, Any]]:
    """PGD and the dual attack with many steps and no salience, and Dual-AutoAttack."""
    from dualperturb.evaluation.measuring.intervals import accuracy_columns
    from dualperturb.evaluation.measuring.scoring import attack_images
    from dualperturb.evaluation.strong import auto_attack_images
    from stages.subject import attack_settings

    chosen = settings.of(dataset).evaluate.strong
    usual = attack_settings(dataset, used["pgd"].norm, settings, bounded=True)
    longer = replace(usual, steps=chosen.steps, step_size=chosen.step_size)
    tables = {name: (threat, attack_images(measured, threat, 0.0, longer)) for name, threat in used.items()}
    tables["dual_autoattack"] = (used["dual"], auto_attack_images(measured, used["dual"], longer))
    return [
        {"attack": name, "axis": "strong", "salience_weight": 0.0, "steps": chosen.steps}
        | _budgets(threat, settings)
        | {"min_foreground_score": longer.bound(threat)}
        | accuracy_columns(int(table["correct"].sum()), len(table))
        for name, (threat, table) in tables.items()
    ]


def standard(measured: Subject, threat: ThreatModel, settings: Params, queries: int) -> dict[str, Any]:
    """AutoAttack in the plain threat model."""
    from dualperturb.evaluation.libraries import standard_auto_attack
    from dualperturb.evaluation.measuring.intervals import accuracy_columns

    right = standard_auto_attack(measured, threat, settings.seeds.attack, queries)
    row = {"attack": "autoattack", "axis": "strong", "square_queries": queries} | _budgets(threat, settings)
    return row | accuracy_columns(int(right.sum()), len(right))


def carlini_wagner(
    measured: Subject, settings: Params, dataset: str
) -> tuple[list[dict[str, Any]], list[pd.DataFrame]]:
    """Carlini and Wagner's attack: one run, read off at every PGD budget; rows, and tables of images."""
    import pandas as pd

    from dualperturb.core.threat_model import ThreatModel
    from dualperturb.evaluation.libraries import carlini_wagner_norms
    from dualperturb.evaluation.measuring.intervals import accuracy_columns
    from dualperturb.evaluation.measuring.scoring import budget_columns

    chosen = settings.of(dataset).evaluate
    cw = chosen.strong.cw
    norms = carlini_wagner_norms(measured, chosen.batch_size, cw.steps, cw.searches)
    rows, images = [], []
    for eps in settings.grid(dataset, "L2").eps:
        threat = ThreatModel("L2", settings.radius(dataset, "L2", eps, measured.data.side))
        point, right = {"attack": "cw", "axis": "eps", "value": eps}, norms > threat.eps_f
        spent = {"steps": cw.steps, **budget_columns(threat, eps, None)}
        rows.append(point | spent | accuracy_columns(int(right.sum()), len(right)))
        images.append(pd.DataFrame({**point, "norm": "L2", "index": measured.indices, "correct": right}))
    return rows, images


def _budgets(threat: ThreatModel, settings: Params) -> dict[str, Any]:
    from dualperturb.evaluation.measuring.scoring import budget_columns

    eps_f, eps_b = settings.budgets(threat.norm)
    return budget_columns(threat, eps_f, None if threat.eps_b is None else eps_b)


def command() -> None:
    run(main)


if __name__ == "__main__":
    command()
