"""The data of Fig. 1 and 2 of one data set: adversarial examples of chosen test images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dualperturb.params import Params
from stages.common import EXAMPLES, params, run, timed

if TYPE_CHECKING:
    import numpy as np

    from dualperturb.evaluation.measuring.subject import Subject


def main(dataset: str) -> None:
    import numpy as np

    from dualperturb.files import replacing

    settings = params(dataset)
    with timed(dataset, "examples"):
        made = {"dual": dual_examples(dataset, settings), "noise": noise_examples(dataset, settings)}
        for name, arrays in made.items():
            with replacing(EXAMPLES / dataset / f"{name}.npz") as temporary, temporary.open("wb") as file:
                np.savez(file, **arrays)


def dual_examples(dataset: str, settings: Params) -> dict[str, np.ndarray]:
    """The arrays of Fig. 1."""
    import numpy as np

    from dualperturb.core.threat_model import ThreatModel
    from dualperturb.evaluation.examples import dual_arrays
    from stages.subject import attack_settings

    chosen = settings.figures.fig1
    shown, told = _shown(dataset, chosen.defence, chosen.norm, settings)
    budgets = chosen.eps_f, chosen.eps_b
    inside, outside = (settings.radius(dataset, chosen.norm, one, shown.data.side) for one in budgets)
    return told | {
        **dual_arrays(
            shown,
            ThreatModel(chosen.norm, inside, outside),
            chosen.salience_weights,
            chosen.min_foreground_score,
            attack_settings(dataset, chosen.norm, settings),
        ),
        "budgets": np.asarray(budgets),
        "bound": np.asarray(str(chosen.min_foreground_score)),
    }


def noise_examples(dataset: str, settings: Params) -> dict[str, np.ndarray]:
    """The arrays of Fig. 2."""
    import numpy as np

    from dualperturb.evaluation.examples import noise_arrays
    from stages.subject import attack_settings

    chosen = settings.figures.fig2
    shown, told = _shown(dataset, chosen.defence, chosen.norm, settings)
    radius = settings.radius(dataset, chosen.norm, chosen.eps, shown.data.side)
    return told | {
        **noise_arrays(shown, chosen.norm, radius, attack_settings(dataset, chosen.norm, settings)),
        "budgets": np.asarray([chosen.eps]),
    }


def _shown(dataset: str, defence: str, norm: str, settings: Params) -> tuple[Subject, dict[str, np.ndarray]]:
    """The classifier with the chosen images, and what the caption tells of them."""
    import numpy as np

    from stages.subject import subject

    trained, positions = settings.trained_for(defence, norm), settings.of(dataset).evaluate.examples
    shown = subject(dataset, defence, trained, settings.seeds.training[0], settings, positions)
    told = {"defence": defence, "trained_norm": trained or "none", "norm": norm}
    return shown, {
        "class_names": np.asarray(shown.data.class_names),
        **{name: np.asarray(value) for name, value in told.items()},
    }


if __name__ == "__main__":
    run(main)
