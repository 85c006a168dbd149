"""Measures of how unsuspicious dual examples are: change of the foreground score, perceptual distances."""

from __future__ import annotations

from stages.common import MEASURES, params, run, timed


def main(dataset: str, norm: str) -> None:
    import pandas as pd

    from dualperturb.evaluation.measuring.intervals import mean_columns
    from dualperturb.evaluation.measuring.scoring import budget_columns, outcome_columns
    from dualperturb.evaluation.perceptual import ssim_distance, suspicion
    from dualperturb.files import write_csv
    from stages.subject import attack_settings, classifiers, identity, subject, threats

    settings = params(dataset, norm=norm)
    weight, chosen = settings.salience_weight[dataset], attack_settings(dataset, settings)
    rows, images = [], []
    with timed(dataset, "unsuspicious", norm):
        for defence, trained in classifiers(settings, norm):
            measured = subject(dataset, defence, trained, settings)
            threat = threats(settings, dataset, norm, measured.data.side)["dual"]
            table = suspicion(measured, threat, weight, chosen, ssim_distance)
            own = identity(dataset, defence, trained)
            rows.append(
                own
                | {"attack": "dual", "axis": "unsuspicious", "salience_weight": weight}
                | {"loss": chosen.loss, "steps": chosen.steps}
                | budget_columns(threat, *settings.budgets(norm))
                | outcome_columns(table)
                | mean_columns("score_change", table["change"])
                | mean_columns("ssim_distance", table["whole"])
                | mean_columns("ssim_distance_foreground", table["foreground"])
                | {
                    "crossed_half": int(
                        ((table["clean_score"] >= 0.5) & (table["foreground_score"] < 0.5)).sum()
                    )
                }
            )
            images.append(table.assign(**own))
        folder = MEASURES / dataset / "unsuspicious"
        write_csv(folder / f"{norm}.csv", pd.DataFrame(rows))
        write_csv(folder / f"{norm}.images.csv", pd.concat(images, ignore_index=True))


def command() -> None:
    run(main)


if __name__ == "__main__":
    command()
