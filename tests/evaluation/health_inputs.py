"""Small tables as the health checks read them."""

from __future__ import annotations

import pandas as pd


def transfers(**accuracies: float) -> pd.DataFrame:
    rows = [{"source": name, "target": "own", "accuracy": value} for name, value in accuracies.items()]
    return pd.DataFrame(rows)


def swept(axis: str = "eps", n: int = 100, weight: float = 1.0, **accuracies: float) -> pd.DataFrame:
    rows = [(axis, float(name[1:]), accuracy, n, weight) for name, accuracy in accuracies.items()]
    return pd.DataFrame(rows, columns=["axis", "value", "accuracy", "n", "salience_weight"])
