"""Randomized smoothing (Cohen et al. 2019): certified accuracy, and accuracy under PGD and dual attacks."""

from __future__ import annotations

from typing import Any

from stages.common import MEASURES, params, run, timed


def main(dataset: str) -> None:
    import pandas as pd

    from dualperturb.evaluation.measuring.scoring import budget_columns, outcome_columns
    from dualperturb.evaluation.smoothing import Sampling, attack_smoothed, certified_accuracy, certify_images
    from dualperturb.files import write_csv
    from stages.subject import attack_settings, identity, subject, threats

    settings = params(dataset)
    chosen = settings.of(dataset).evaluate.smoothing
    rows: list[dict[str, Any]] = []
    with timed(dataset, "smoothing"):
        measured = subject(dataset, "smoothing", None, settings, chosen.n)
        sampling = Sampling(
            settings.of(dataset).train.smoothing.sigma,
            chosen.samples,
            chosen.alpha,
            chosen.batch_size,
            settings.seeds.attack,
        )
        for row in certified_accuracy(certify_images(measured, sampling, chosen.n0), chosen.radii).to_dict(
            "records"
        ):
            rows.append(
                {"attack": "certificate", "norm": "L2", "axis": "radius", "value": row.pop("radius"), **row}
            )
        for norm in settings.norms:
            budgets = settings.budgets(norm)
            for attack, threat in threats(settings, dataset, norm, measured.data.side).items():
                weight = settings.salience_weight[dataset] if attack == "dual" else 0.0
                table = attack_smoothed(
                    measured,
                    threat,
                    weight,
                    attack_settings(dataset, settings),
                    sampling=sampling,
                    draws=chosen.draws,
                )
                rows.append(
                    {"attack": attack, "axis": "smoothing", "salience_weight": weight}
                    | {"steps": settings.of(dataset).evaluate.steps}
                    | budget_columns(threat, budgets[0], budgets[1] if attack == "dual" else None)
                    | outcome_columns(table)
                )
        own = identity(dataset, "smoothing", None)
        write_csv(MEASURES / dataset / "smoothing.csv", pd.DataFrame([own | row for row in rows]))


if __name__ == "__main__":
    run(main)
