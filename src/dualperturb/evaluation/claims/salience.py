"""The claims about the salience weight: the paper's Fig. 3, once for each loss that was climbed."""

from __future__ import annotations

from collections.abc import Iterator

from dualperturb.evaluation.claims.lines import DEFENCES, Line
from dualperturb.evaluation.claims.outcomes import Outcomes, compared
from dualperturb.evaluation.claims.paired import Estimate, paired_means, paired_shares, share

WEIGHT = 1.0  # of the paper's attacks at test time
SCORES = {"score_half": 0.5, "score_high": 0.9}


def salience_lines(of: Outcomes, norm: str) -> Iterator[Line]:
    """Classifiers trained with `norm` (or none) and attacked in it; without a sweep there, a line a claim
    and classifier."""
    for claim in (*SCORES, "weight_raises", "weight_keeps"):
        for loss in of.losses(norm) or [""]:
            for defence in DEFENCES:
                yield _line(of, claim, defence, norm, loss)


def _line(of: Outcomes, claim: str, defence: str, norm: str, loss: str) -> Line:
    weights = of.values("dual", norm, "salience_weight") or [0.0]
    if claim in SCORES:
        place, found = f"weight {WEIGHT:g}", _scored(of, defence, norm, loss, SCORES[claim])
    elif claim == "weight_raises":
        place = f"weight {weights[-1]:g} less {weights[0]:g}"
        more, less = (of.weighted(defence, norm, norm, weights[end], loss) for end in (-1, 0))
        # A weight alone says nothing of a larger one.
        found = None if len(weights) < 2 else compared(more, less, paired_means, "foreground_score")
    else:
        place = f"weight {WEIGHT:g} less 0"
        more, less = (of.weighted(defence, norm, norm, weight, loss) for weight in (WEIGHT, 0.0))
        found = compared(more, less, paired_shares)
    return Line(claim, defence, norm, norm, place, found, loss=loss)


def _scored(of: Outcomes, defence: str, norm: str, loss: str, least: float) -> Estimate | None:
    """The share of the dual examples, whether they fool or not, whose foreground score is above `least`."""
    rows = of.weighted(defence, norm, norm, WEIGHT, loss)
    return share((rows["foreground_score"] > least).to_numpy()) if len(rows) else None
