"""The claims about JSMA, gradients, and Carlini and Wagner's attack."""

from __future__ import annotations

from collections.abc import Iterator

from dualperturb.evaluation.claims.budgets import DEFENCES
from dualperturb.evaluation.claims.lines import Line
from dualperturb.evaluation.claims.outcomes import Outcomes, compared
from dualperturb.evaluation.claims.paired import paired_means, paired_shares


def trained_lines(of: Outcomes, trained: str) -> Iterator[Line]:
    """AT-Dual against AT-PGD, both trained with the norm `trained`, by JSMA and by their gradients."""
    most = max(of.values("jsma", "L0", "share"), default=float("nan"))
    dual, pgd = (of.jsma(defence, trained, most) for defence in ("at_dual", "at_pgd"))
    found = compared(dual, pgd, paired_shares)
    yield Line("jsma", "at_dual", trained, "L0", f"JSMA, {100 * most:g} % of the pixels", found, "at_pgd")
    dual, pgd = (of.gradients(defence, trained) for defence in ("at_dual", "at_pgd"))
    found = compared(dual, pgd, paired_means, "gradient_share")
    yield Line("gradients", "at_dual", trained, "", "clean images", found, "at_pgd")


def carlini_wagner_lines(of: Outcomes, trained: str) -> Iterator[Line]:
    """Each classifier under Carlini and Wagner's attack less itself under PGD, in L2, with budget eps_f."""
    eps = of.budgets_of("L2")[0]
    for defence in DEFENCES:
        found = compared(
            of.carlini_wagner(defence, trained, eps), of.pgd(defence, trained, "L2", eps), paired_shares
        )
        yield Line("carlini_wagner", defence, trained, "L2", f"C&W less PGD, eps = {eps:g}", found)
