"""The data of Figures 1 and 2 of one data set: adversarial examples of chosen test images."""

from __future__ import annotations

from stages.common import EXAMPLES, params, run, timed


def main(dataset: str) -> None:
    import numpy as np

    from dualperturb.attacks.adversaries import ThreatModel
    from dualperturb.evaluation.examples import example_arrays
    from dualperturb.files import replacing
    from stages.subject import attack_settings, subject

    settings = params(dataset)
    defence, positions = settings.examples.defence, settings.evaluate[dataset].examples
    with timed(dataset, "examples"):
        shown = subject(dataset, defence, settings, positions)
        radii = [
            settings.radius(dataset, value, shown.data.side) for value in (settings.eps_f, settings.eps_b)
        ]
        arrays = example_arrays(
            shown,
            ThreatModel(settings.norm, *radii),
            radii[1],
            settings.examples.salience_weights,
            attack_settings(dataset, settings),
        )
        arrays |= {
            "class_names": np.asarray(shown.data.class_names),
            "defence": np.asarray(defence),
            "noise_eps": np.asarray(settings.eps_b),
        }
        with replacing(EXAMPLES / f"{dataset}.npz") as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)


if __name__ == "__main__":
    run(main)
