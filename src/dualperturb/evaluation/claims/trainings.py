"""The claims of several trainings as one table: a claim is judged over images and trainings."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from dualperturb.evaluation.claims.lines import NOT_MEASURED, RULES


def over_trainings(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """One table of the claims' tables of each training, which have the same lines; a single one as it is.

    The number is the mean over the trainings. The interval reaches from the least end to the greatest of all
    trainings' intervals, so that a line holds, or fails, where it does in each of them; p is the largest.
    """
    first, *others = tables
    if not others:
        return first
    found, every = first.copy(), pd.concat(tables)
    lines = every.groupby(level=0)
    found["value"], found["p"] = lines["value"].mean(), lines["p"].max()
    found["low"], found["high"] = lines["low"].min(), lines["high"].max()
    found["verdict"] = [_verdict(line) for _, line in found.iterrows()]
    return found


def _verdict(line: pd.Series) -> str:
    if pd.isna(line["value"]):
        return NOT_MEASURED
    return RULES[str(line["claim"])].verdict(float(line["low"]), float(line["high"]))
