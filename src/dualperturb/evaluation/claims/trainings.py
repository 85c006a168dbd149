"""The claims of several trainings as one table: a claim is judged over images and trainings."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dualperturb.evaluation.claims.lines import COLUMNS, NOT_MEASURED, RULES
from dualperturb.evaluation.tables import LOSS

_KEYS = ["dataset", "setting", "claim", "defence", "against", "trained_norm", "norm", LOSS]
_MEASURED = ["place", "value", "low", "high", "interval", "p", "n"]


def over_trainings(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table of the claims' tables of each training, with a row for each line; a single one as it is.

    The number is the mean over the trainings. The interval reaches from the least end to the greatest of all
    trainings' intervals, so that a line holds, or fails, where it does in each of them; p is the largest. A
    line that one of them lacks, or did not measure, is not measured.
    """
    if len(tables) == 1:
        return tables[0]
    lines = pd.concat(tables).groupby(_KEYS, sort=False, dropna=False)
    found = lines.first()
    found["value"], found["p"] = lines["value"].mean(), lines["p"].max()
    found["low"], found["high"] = lines["low"].min(), lines["high"].max()
    found[_MEASURED] = found[_MEASURED].where(lines["value"].count() == len(tables))
    found = found.reset_index()[list(COLUMNS)]
    found["verdict"] = [_verdict(line) for _, line in found.iterrows()]
    return found


def _verdict(line: pd.Series) -> str:
    if pd.isna(line["value"]):
        return NOT_MEASURED
    return RULES[str(line["claim"])].verdict(float(line["low"]), float(line["high"]))
