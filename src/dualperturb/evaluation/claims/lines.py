"""The claims' rules, and a line of their table: a number, its interval, and the verdict by the rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dualperturb.evaluation.tables import LOSS

if TYPE_CHECKING:
    from dualperturb.evaluation.claims.paired import Estimate

DEFENCES = ("clean", "at_pgd", "at_dual")  # the paper's; the others have the claims about AT-Dual
PAPER, OURS = "paper", "ours"  # settings: trained as for the paper's figures, or in another norm
HOLDS, FAILS, OPEN, NOT_MEASURED = "holds", "fails", "open", "not measured"

COLUMNS = (
    *("dataset", "setting", "claim", "defence", "against", "trained_norm", "norm", LOSS, "place"),
    *("value", "low", "high", "interval", "p", "n", "side", "bound", "verdict"),
)


@dataclass(frozen=True)
class Rule:
    """side: where of `bound` the number has to lie: above, below, or within (less than it from 0)."""

    side: str
    bound: float

    def verdict(self, low: float, high: float) -> str:
        """By the whole interval: it holds on the rule's side, it fails on the other, else it is open."""
        if self.side == "within":
            inside = -self.bound < low and high < self.bound
            outside = high < -self.bound or low > self.bound
        else:
            above, below = low > self.bound, high < self.bound
            inside, outside = (above, below) if self.side == "above" else (below, above)
        return HOLDS if inside else FAILS if outside else OPEN


# Of shares of images, or of differences of these or of means. The paper's own numbers are named; the others
# are ours, where the paper has a word.
RULES = {
    "dual_stronger": Rule("below", 0.0),
    "at_pgd_broken": Rule("below", 0.10),  # paper: below 10 %
    "small_eps_f": Rule("below", 0.0),
    "at_dual_leads": Rule("above", 0.40),  # paper: up to 40 points
    "large_pgd": Rule("above", 0.20),  # paper: 20 points
    "little_lost": Rule("above", -0.08),  # "little"
    "score_half": Rule("above", 0.5),  # "mostly"
    "score_high": Rule("above", 0.5),  # "in most cases"
    "weight_raises": Rule("above", 0.0),
    "weight_keeps": Rule("below", 0.05),  # "does not weaken"
    "across_pgd": Rule("above", 0.0),
    "across_dual": Rule("above", 0.20),  # "much"
    "across_hardly": Rule("below", 0.05),  # "hardly"
    "jsma": Rule("above", 0.0),
    "carlini_wagner": Rule("within", 0.10),  # "like"
    "gradients": Rule("above", 0.0),
    "constraint_beats_sum": Rule("above", 0.0),  # this and those below are ours
    "guides_transfer": Rule("above", 0.0),
    "at_dual_unsuspicious": Rule("above", 0.0),
}


@dataclass(frozen=True)
class Line:
    """One line of one claim.

    defence, against: the classifier, and the one that it is compared with, if any; trained_norm, norm: of
    training and of the attack; loss: how the attack climbed, where that was varied; place: what was read off;
    found: None where it was not measured.
    """

    claim: str
    defence: str
    trained_norm: str
    norm: str
    place: str
    found: Estimate | None
    against: str = ""
    loss: str = ""

    def row(self) -> dict[str, object]:
        """The columns `COLUMNS` but for dataset and setting; p is not adjusted yet.

        The test asks whether there is a difference at all; it is left out where the claim asks for more.
        """
        rule, found = RULES[self.claim], self.found
        own: dict[str, object] = {"claim": self.claim, "defence": self.defence, "against": self.against}
        own |= {"trained_norm": self.trained_norm, "norm": self.norm, LOSS: self.loss}
        own |= {"side": rule.side, "bound": rule.bound}
        if found is None:
            return own | {"verdict": NOT_MEASURED}
        return own | {
            "place": self.place,
            **{"value": found.value, "low": found.low, "high": found.high, "interval": found.interval},
            **{"p": found.p if rule.bound == 0 else None, "n": found.n},
            "verdict": rule.verdict(found.low, found.high),
        }
