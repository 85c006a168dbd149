"""A small results table, example arrays and look, shared by the tests of the figures and of the report."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

ACCURACY = {"clean": 0.1, "at_pgd": 0.4, "at_dual": 0.7}


@dataclass(frozen=True)
class Look:
    """The `plots` section of params.yaml in small."""

    palette: dict[str, str] = field(
        default_factory=lambda: {"clean": "#0072B2", "at_pgd": "#D55E00", "at_dual": "#009E73"}
    )
    width_inches: float = 7.0
    dpi: int = 60


def _row(
    defence: str,
    attack: str,
    axis: str,
    value: float,
    eps_f: float,
    eps_b: float,
    objective: str = "paper",
) -> dict[str, object]:
    accuracy = ACCURACY[defence]
    return {
        **{"dataset": "shapes6", "defence": defence, "attack": attack, "norm": "L2", "axis": axis},
        **{
            "value": value,
            "eps_f": eps_f,
            "eps_b": eps_b,
            "eps_f_spent": eps_f / 7,
            "eps_b_spent": eps_b / 7,
        },
        **{"salience_weight": value if axis == "salience_weight" else 0.0, "objective": objective},
        **{"salience_every": 1, "steps": 20, "n": 50},
        **{"accuracy": accuracy, "accuracy_low": accuracy - 0.05, "accuracy_high": accuracy + 0.05},
        **{"foreground_score": 0.6, "foreground_score_low": 0.58, "foreground_score_high": 0.62},
    }


def small_results() -> pd.DataFrame:
    """All four sweeps of three defences, out of order; the accuracy depends on the defence alone."""
    rows = []
    for defence in reversed(ACCURACY):
        rows += [_row(defence, "dual", "eps_f", value, value, 20) for value in (4.0, 0.0, 2.0)]
        rows += [_row(defence, "dual", "eps_b", value, 2, value) for value in (0.0, 10.0, 20.0)]
        rows += [_row(defence, "pgd", "eps", value, value, value) for value in (0.0, 1.0, 3.0)]
        for objective in ("paper", "balanced"):
            rows += [
                _row(defence, "dual", "salience_weight", value, 2, 20, objective)
                for value in (0.0, 0.1, 10.0)
            ]
    return pd.DataFrame(rows)


def small_examples() -> dict[str, np.ndarray]:
    """Three images with an empty, a partial and a full foreground, at two salience weights."""
    random = np.random.default_rng(0)
    count, side, weights = 3, 8, 2
    foreground = np.zeros((count, 1, side, side), dtype=bool)
    foreground[1, :, 2:6, 2:6] = True
    foreground[2] = True
    pictures = ("original", "foreground_noise", "background_noise")
    return {
        **{name: random.random((count, 3, side, side), dtype=np.float32) for name in pictures},
        **{f"{name}_predicted": np.array([0, 1, 2]) for name in pictures},
        **{f"{name}_score": np.array([0.5, 0.6, 0.7]) for name in pictures},
        "indices": np.array([4, 5, 6]),
        "labels": np.array([0, 1, 2]),
        "class_names": np.array(["cat", "$dog$", "a name far too long to print"]),
        "foreground": foreground,
        "log_density": random.random((count, side, side)),
        "salience_weights": np.array([0.0, 10.0]),
        "dual": random.random((weights, count, 3, side, side), dtype=np.float32),
        "dual_predicted": np.array([[1, 1, 2], [1, 0, 0]]),
        "dual_score": np.full((weights, count), 0.25),
        "noise_eps": np.array(20.0),
        "defence": np.array("at_pgd"),
    }
