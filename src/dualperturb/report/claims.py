"""The paper's claims against this run: a number, its interval, and a verdict by a stated rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dualperturb.figures.names import LOSS_NAMES, NORM_NAMES, label
from dualperturb.figures.salience import salience_sweeps
from dualperturb.figures.sweeps import defences, norms, only, sweep
from dualperturb.figures.texts import NOT_MEASURED
from dualperturb.report.data import Budgets
from dualperturb.report.summary import dual_point

HOLDS, FAILS = "holds", "does not hold here"

BREAKS = 0.10  # accuracy below which AT-PGD counts as broken
LEAD = 0.40  # lead in accuracy of AT-Dual over AT-PGD at some eps_b
CLEAN_LOSS = 0.08  # accuracy on clean images that AT-Dual may lose against AT-PGD; the paper says "little"
WEAKER = 0.05  # accuracy that the classifier may gain by a larger salience weight of the attack


@dataclass(frozen=True)
class Measured:
    """A number with its 95 % interval, and where it was read off."""

    value: float
    low: float
    high: float
    place: str


@dataclass(frozen=True)
class Claim:
    """One line. bound: that of `rule`, in the number's unit; above: whether the number has to exceed it."""

    claim: str
    norm: str
    classifier: str
    rule: str
    bound: float
    above: bool
    percent: bool
    found: Measured | None

    def row(self) -> dict[str, str]:
        """The table's columns. The number alone gives the verdict; a note tells if its interval disagrees."""
        own = {"claim": self.claim, "holds if": self.rule}
        own["classifier"] = f"{self.classifier}, {NORM_NAMES[self.norm]}"
        found = self.found
        if found is None:
            return own | {"verdict": NOT_MEASURED, "ours": "–", "at": "–"}
        holds = found.value > self.bound if self.above else found.value < self.bound
        sure = not found.low <= self.bound <= found.high
        interval = f"[{self._text(found.low)}, {self._text(found.high)}]"
        verdict = (HOLDS if holds else FAILS) + ("" if sure else " (interval reaches the bound)")
        return own | {
            "verdict": verdict,
            "ours": f"{self._text(found.value, unit=True)} {interval}",
            "at": found.place,
        }

    def _text(self, value: float, unit: bool = False) -> str:
        if not self.percent:
            return f"{value:+.3f}"
        if self.bound == BREAKS and not self.above:
            return f"{100 * value:.1f}" + (" %" if unit else "")
        return f"{100 * value:+.1f}" + (" points" if unit else "")


def claims_table(results: pd.DataFrame, budgets: Budgets) -> pd.DataFrame:
    """Every claim of one data set, in each norm that it was measured in. Columns: claim, holds if,
    classifier (with the norm), verdict, ours (with its 95 % interval), at.

    Differences have Newcombe's interval from both Wilson intervals (his method 10; for means that of Zou and
    Donner). It takes the samples for independent and so is rather too wide, since all classifiers see the
    same images. Raises `UserError` where a sweep is missing.
    """
    found = list(_by_norm(results, budgets)) + list(_by_weight(results))
    return pd.DataFrame([claim.row() for claim in found])


def difference(more: pd.Series, less: pd.Series, measure: str, place: str) -> Measured:
    """`more` less `less` of a measure with its interval columns (Newcombe 1998, method 10)."""
    value = more[measure] - less[measure]
    low = np.hypot(more[measure] - more[f"{measure}_low"], less[f"{measure}_high"] - less[measure])
    high = np.hypot(more[f"{measure}_high"] - more[measure], less[measure] - less[f"{measure}_low"])
    return Measured(float(value), float(value - low), float(value + high), place)


def _by_norm(results: pd.DataFrame, budgets: Budgets) -> Iterator[Claim]:
    """The claims about AT-Dual and AT-PGD, both trained with the norm of the attack."""
    for norm in norms(results):
        eps_f, eps_b = budgets[norm]
        whole = sweep(results, "pgd", "eps", norm)
        if not {"at_pgd", "at_dual"} <= set(whole["defence"]):
            continue
        yield _broken(results, norm, eps_f, eps_b)
        yield Claim(
            "AT-Dual is much more robust than AT-PGD under dual, up to 40 points",
            *(norm, "AT-Dual less AT-PGD", "largest lead over eps_b above 40 points", LEAD, True, True),
            _largest_lead(sweep(results, "dual", "eps_b", norm)),
        )
        yield Claim(
            "AT-Dual loses little accuracy on clean images",
            *(norm, "AT-Dual less AT-PGD", "above -8 points without attack", -CLEAN_LOSS, True, True),
            _lead(whole, 0.0, "eps = 0"),
        )
        most = float(whole["value"].max())
        yield Claim(
            "AT-Dual is better under PGD of large budgets",
            *(norm, "AT-Dual less AT-PGD", "above 0 at the largest PGD budget", 0.0, True, True),
            _lead(whole, most, f"eps = {most:g}"),
        )


def _broken(results: pd.DataFrame, norm: str, eps_f: float, eps_b: float) -> Claim:
    point = dual_point(results, norm, eps_f, eps_b)
    rows = point[point["defence"] == "at_pgd"]
    measured = None
    if not rows.empty:
        place = f"eps_f = {eps_f:g}, eps_b = {eps_b:g}"
        own = rows.iloc[0]
        measured = Measured(own["accuracy"], own["accuracy_low"], own["accuracy_high"], place)
    text = "AT-PGD breaks under the dual attack"
    return Claim(text, norm, "AT-PGD", "accuracy below 10 %", BREAKS, False, True, measured)


def _largest_lead(rows: pd.DataFrame) -> Measured:
    leads = [_lead(rows, value, f"eps_b = {value:g}") for value in rows["value"].unique()]
    return max(leads, key=lambda lead: lead.value)


def _lead(rows: pd.DataFrame, value: float, place: str) -> Measured:
    dual, pgd = (
        rows[(rows["defence"] == name) & (rows["value"] == value)].iloc[0] for name in ("at_dual", "at_pgd")
    )
    return difference(dual, pgd, "accuracy", place)


def _by_weight(results: pd.DataFrame) -> Iterator[Claim]:
    """The claims about the change from the least to the largest salience weight, by loss and defence."""
    by_loss = salience_sweeps(results)
    rises: list[Claim] = []
    weaker: list[Claim] = []
    for loss, rows in by_loss.items():
        norm = only(rows, "norm")
        for defence in defences(rows):
            own = rows[rows["defence"] == defence]
            compared = _ends(own)
            name = f"{label(defence)}, {LOSS_NAMES[loss]} loss"
            rises.append(
                Claim(
                    "A larger salience weight raises the foreground score",
                    *(norm, name, "change above 0", 0.0, True, False, compared("foreground_score")),
                )
            )
            weaker.append(
                Claim(
                    "A larger salience weight hardly weakens the attack",
                    *(norm, name, "accuracy rises by less than 5 points", WEAKER, False, True),
                    compared("accuracy"),
                )
            )
    yield from rises
    yield from weaker


def _ends(rows: pd.DataFrame) -> Callable[[str], Measured | None]:
    """Measure -> its change from the first row to the last; None where only one weight was measured."""
    first, last = rows.iloc[0], rows.iloc[-1]
    if first["value"] == last["value"]:
        return lambda measure: None
    place = f"weight {first['value']:g} to {last['value']:g}"
    return lambda measure: difference(last, first, measure, place)
