"""The health tables: is the attack as strong as it claims, for each classifier?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from dualperturb.figures.names import NORM_NAMES
from dualperturb.figures.texts import ordered, row_label

PASS, WARN = "pass", "warn"
# The columns of the table that the stage `health` writes.
COLUMNS = (
    *(
        "dataset",
        "defence",
        "trained_norm",
        "training",
        "norm",
        "check",
        "question",
        "passed",
        "figures",
        "n",
    ),
)


@dataclass(frozen=True)
class HealthPart:
    """The checks in one norm: `overview` has one row per check and one column per classifier, `lines` one
    table per classifier, `warnings` one sentence per check that did not pass."""

    norm: str
    overview: pd.DataFrame
    lines: dict[str, pd.DataFrame]
    warnings: tuple[str, ...]
    checks: int


def health_parts(health: pd.DataFrame) -> Iterator[HealthPart]:
    """One part per norm of the dual attack, in order of appearance; classifiers in the paper's order."""
    for norm, rows in health.groupby("norm", sort=False):
        rows = ordered(rows)
        named = {
            _name(own.iloc[0], several=rows["training"].nunique() > 1): own
            for _, own in rows.groupby(["defence", "trained_norm", "training"], sort=False)
        }
        questions = dict(zip(rows["check"], rows["question"], strict=True))
        overview = pd.DataFrame({"check": list(questions.values())})
        for name, own in named.items():
            verdicts = dict(zip(own["check"], own["passed"], strict=True))
            overview[name] = [_verdict(verdicts.get(check)) for check in questions]
        lines = {name: _lines(own) for name, own in named.items()}
        yield HealthPart(NORM_NAMES[str(norm)], overview, lines, _warnings(lines), len(rows))


def _name(row: pd.Series, several: bool) -> str:
    """The classifier; with the seed of its training where there are several."""
    return row_label(row, False) + (f", seed {row['training']}" if several else "")


def _lines(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "check": list(rows["question"]),
            "verdict": [_verdict(passed) for passed in rows["passed"]],
            "figures": list(rows["figures"]),
            "n": [int(n) for n in rows["n"]],
        }
    )


def _warnings(lines: dict[str, pd.DataFrame]) -> tuple[str, ...]:
    return tuple(
        f"{name}: {line['check']} {line['figures']}"
        for name, table in lines.items()
        for _, line in table[table["verdict"] == WARN].iterrows()
    )


def _verdict(passed: object) -> str:
    return "–" if passed is None else PASS if bool(passed) else WARN
