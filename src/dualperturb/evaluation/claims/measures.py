"""The claims about JSMA, Carlini and Wagner's attack, and gradients: of these only summaries are kept.

So their intervals are those of independent samples, which on the same images are mostly too wide.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from dualperturb.evaluation.claims.budgets import DEFENCES
from dualperturb.evaluation.claims.lines import Line
from dualperturb.evaluation.claims.paired import Estimate, independent


def trained_lines(results: pd.DataFrame, trained: str) -> Iterator[Line]:
    """AT-Dual against AT-PGD, both trained with the norm `trained`, by JSMA and by their gradients.

    results: one data set's rows of all measures, in the columns of `evaluation.tables.COLUMNS`.
    """
    own = results[results["trained_norm"] == trained]
    shares = own[(own["attack"] == "jsma") & (own["axis"] == "share")]
    most = shares[shares["value"] == shares["value"].max()]
    place = f"JSMA, {100 * shares['value'].max():g} % of the pixels"
    found = _lead(most, most, "accuracy", "at_dual", "at_pgd")
    yield Line("jsma", "at_dual", trained, "L0", place, found, "at_pgd")
    energies = own[own["axis"] == "gradient"]
    found = _lead(energies, energies, "gradient_share", "at_dual", "at_pgd")
    yield Line("gradients", "at_dual", trained, "", "clean images", found, "at_pgd")


def carlini_wagner_lines(results: pd.DataFrame, trained: str, eps: float) -> Iterator[Line]:
    """Each classifier under Carlini and Wagner's attack less itself under PGD, in L2, with budget `eps`."""
    own = results[results["trained_norm"].isin(("none", trained)) & (results["norm"] == "L2")]
    own = own[(own["axis"] == "eps") & (own["value"] == eps)]
    weak, strong = (own[own["attack"] == attack] for attack in ("cw", "pgd"))
    for defence in DEFENCES:
        found = _lead(weak, strong, "accuracy", defence, defence)
        yield Line("carlini_wagner", defence, trained, "L2", f"C&W less PGD, eps = {eps:g}", found)


def _lead(
    first: pd.DataFrame, second: pd.DataFrame, measure: str, defence: str, against: str
) -> Estimate | None:
    columns = [measure, f"{measure}_low", f"{measure}_high"]
    one = first[first["defence"] == defence].dropna(subset=measure)
    other = second[second["defence"] == against].dropna(subset=measure)
    if one.empty or other.empty:
        return None
    (a, a_low, a_high), (b, b_low, b_high) = one[columns].iloc[0], other[columns].iloc[0]
    count = min(int(one["n"].iloc[0]), int(other["n"].iloc[0]))
    return independent((a, a_low, a_high), (b, b_low, b_high), count)
