"""The claims about JSMA, gradients, and Carlini and Wagner's attack."""

from __future__ import annotations

from collections.abc import Iterator

from dualperturb.evaluation.claims.lines import DEFENCES, Line
from dualperturb.evaluation.claims.outcomes import Outcomes, compared
from dualperturb.evaluation.claims.paired import paired_means, paired_shares


def trained_lines(of: Outcomes, trained: str, defence: str = "at_dual") -> Iterator[Line]:
    """A defence against AT-PGD, both trained with the norm `trained`, by JSMA and by their gradients."""
    most = max(of.values("jsma", "L0", "share"), default=float("nan"))
    found = compared(of.jsma(defence, trained, most), of.jsma("at_pgd", trained, most), paired_shares)
    yield Line("jsma", defence, trained, "L0", f"JSMA, {100 * most:g} % of the pixels", found, "at_pgd")
    own, other = of.gradients(defence, trained), of.gradients("at_pgd", trained)
    found = compared(own, other, paired_means, "gradient_share")
    yield Line("gradients", defence, trained, "", "clean images", found, "at_pgd")


def carlini_wagner_lines(of: Outcomes, trained: str) -> Iterator[Line]:
    """Each classifier under Carlini and Wagner's attack less itself under PGD, in L2, with budget eps_f."""
    eps = of.budgets_of("L2")[0]
    for defence in DEFENCES:
        found = compared(
            of.carlini_wagner(defence, trained, eps), of.pgd(defence, trained, "L2", eps), paired_shares
        )
        yield Line("carlini_wagner", defence, trained, "L2", f"C&W less PGD, eps = {eps:g}", found)
