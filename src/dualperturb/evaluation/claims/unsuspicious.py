"""The claims about unsuspicious examples (ours): attacks under a bound, and what AT-Dual withstands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from dualperturb.evaluation.claims.lines import DEFENCES, Line
from dualperturb.evaluation.claims.outcomes import compared, further
from dualperturb.evaluation.claims.paired import Estimate, paired_shares
from dualperturb.evaluation.unsuspicious.tables import unsuspicious

CLEAN = "S at least the image's own"


@dataclass(frozen=True)
class Judged:
    """One data set's outcomes of the attacks that saliency models judge, in one norm.

    images: a row for each image, run of an attack and classifier trained with the norm or with none, in the
    columns of `evaluation.unsuspicious.outcomes` and defence, attack, run; own: the model that the
    constrained attack climbs; unseen: those that no attack climbs; first_bound: that of the constrained
    attack's first run, which is compared where it is "clean".
    """

    norm: str
    images: pd.DataFrame
    own: str
    unseen: Sequence[str]
    first_bound: float | str | None

    def found(self, defence: str, judges: Sequence[str], attack: str | None = None) -> pd.DataFrame:
        """index, found: whether the attack has an unsuspicious example of the image, by its first run, as
        attacks are compared at the same number of gradients; or any attack by any run. No rows where the
        attack was not run."""
        rows = self.images[self.images["defence"] == defence]
        if attack is not None:
            rows = rows[(rows["attack"] == attack) & (rows["run"] == 0)]
        kept = rows.assign(found=unsuspicious(rows, judges, None))
        return kept.groupby("index")["found"].any().reset_index()


def unsuspicious_lines(judged: Judged) -> Iterator[Line]:
    """Attacks against each other on the paper's classifiers, and all others, as AT-Dual, against AT-PGD under
    all of them."""
    own, unseen = [judged.own], list(judged.unseen)
    for defence in DEFENCES:
        found = _more(judged, defence, own, "constrained", "sum")
        yield _line(judged, "constraint_beats_sum", defence, CLEAN, found)
    for defence in DEFENCES:
        found = _more(judged, defence, unseen, "guided", "constrained") if unseen else None
        yield _line(judged, "guides_transfer", defence, f"{CLEAN}, by all unseen judges", found)
    for defence in ("at_dual", *further(judged.images)):
        lead = compared(judged.found("at_pgd", own), judged.found(defence, own), paired_shares, "found")
        yield _line(judged, "at_dual_unsuspicious", defence, f"{CLEAN}, all attacks", lead, "at_pgd")


def _more(judged: Judged, defence: str, judges: Sequence[str], one: str, other: str) -> Estimate | None:
    if judged.first_bound != "clean":
        return None
    first, second = (judged.found(defence, judges, attack) for attack in (one, other))
    return compared(first, second, paired_shares, "found")


def _line(
    judged: Judged, claim: str, defence: str, place: str, found: Estimate | None, against: str = ""
) -> Line:
    return Line(claim, defence, judged.norm, judged.norm, place, found, against)
