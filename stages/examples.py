"""The data of Fig. 1 and 2 of one data set: adversarial examples of chosen test images, in the first norm."""

from __future__ import annotations

from stages.common import EXAMPLES, params, run, timed


def main(dataset: str) -> None:
    import numpy as np

    from dualperturb.core.threat_model import ThreatModel
    from dualperturb.evaluation.examples import example_arrays
    from dualperturb.files import replacing
    from stages.subject import attack_settings, subject

    settings = params(dataset)
    defence, positions = settings.examples.defence, settings.of(dataset).evaluate.examples
    norm, budgets = settings.norms[0], settings.budgets(settings.norms[0])
    trained = norm if norm in settings.trained(defence) else None
    with timed(dataset, "examples"):
        shown = subject(dataset, defence, trained, settings.seeds.training[0], settings, positions)
        radii = [settings.radius(dataset, norm, value, shown.data.side) for value in budgets]
        arrays = example_arrays(
            shown,
            ThreatModel(norm, *radii),
            radii[1],
            settings.examples.salience_weights,
            attack_settings(dataset, settings),
        )
        arrays |= {
            "class_names": np.asarray(shown.data.class_names),
            "defence": np.asarray(defence),
            "budgets": np.asarray(budgets),
            "norm": np.asarray(norm),
        }
        with replacing(EXAMPLES / f"{dataset}.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)


if __name__ == "__main__":
    run(main)
