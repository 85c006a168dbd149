"""The claims about accuracy over the budgets: the paper's Fig. 4, and Fig. 5 for attacks in another norm."""

from __future__ import annotations

from collections.abc import Iterator

from dualperturb.evaluation.claims.lines import DEFENCES, Line
from dualperturb.evaluation.claims.outcomes import Outcomes, compared
from dualperturb.evaluation.claims.paired import paired_shares, share

LARGE = 1.5  # times eps_f: the paper's 3.0, where its eps_f is 2.0


def budget_lines(of: Outcomes, norm: str) -> Iterator[Line]:
    """Classifiers trained with `norm` (or none) and attacked in it."""
    yield from (_dual_stronger(of, defence, norm) for defence in DEFENCES)
    yield _broken(of, norm)
    yield from (_small_eps_f(of, defence, norm) for defence in ("clean", "at_pgd"))
    yield from (_leads(of, norm), _large_pgd(of, norm), _little_lost(of, norm))


def further_lines(of: Outcomes, defence: str, norm: str) -> Iterator[Line]:
    """A defence beside the paper's, trained with `norm` and attacked in it, by the claims about AT-Dual."""
    yield _dual_stronger(of, defence, norm)
    yield from (_leads(of, norm, defence), _large_pgd(of, norm, defence), _little_lost(of, norm, defence))


def across_lines(of: Outcomes, trained: str, norm: str) -> Iterator[Line]:
    """Classifiers trained with `trained` (or none) under attacks in `norm`."""
    yield from across_leads(of, trained, norm)
    found = compared(of.dual("at_pgd", trained, norm), of.dual("clean", trained, norm), paired_shares)
    yield Line("across_hardly", "at_pgd", trained, norm, _dual(of, norm), found, "clean")


def across_leads(of: Outcomes, trained: str, norm: str, defence: str = "at_dual") -> Iterator[Line]:
    """A defence against AT-PGD, both trained with `trained`, under attacks in `norm`."""
    eps = of.budgets_of(norm)[0]
    found = compared(of.pgd(defence, trained, norm, eps), of.pgd("at_pgd", trained, norm, eps), paired_shares)
    yield Line("across_pgd", defence, trained, norm, f"PGD, eps = {eps:g}", found, "at_pgd")
    found = compared(of.dual(defence, trained, norm), of.dual("at_pgd", trained, norm), paired_shares)
    yield Line("across_dual", defence, trained, norm, _dual(of, norm), found, "at_pgd")


def _dual_stronger(of: Outcomes, defence: str, norm: str) -> Line:
    eps = of.budgets_of(norm)[0]
    found = compared(of.dual(defence, norm, norm), of.pgd(defence, norm, norm, eps), paired_shares)
    return Line("dual_stronger", defence, norm, norm, f"{_dual(of, norm)}, less PGD, eps = {eps:g}", found)


def _broken(of: Outcomes, norm: str) -> Line:
    rows = of.dual("at_pgd", norm, norm)
    found = share(rows["correct"].to_numpy()) if len(rows) else None
    return Line("at_pgd_broken", "at_pgd", norm, norm, _dual(of, norm), found)


def _small_eps_f(of: Outcomes, defence: str, norm: str) -> Line:
    """The sweep's least eps_f above 0, with the whole eps_b, does more harm than PGD with all of eps_f."""
    eps, eps_b = of.budgets_of(norm)
    least = min((value for value in of.values("dual", norm, "eps_f") if value > 0), default=float("nan"))
    place = f"dual, eps_f = {least:g}, eps_b = {eps_b:g}, less PGD, eps = {eps:g}"
    found = compared(
        of.dual_eps_f(defence, norm, norm, least), of.pgd(defence, norm, norm, eps), paired_shares
    )
    return Line("small_eps_f", defence, norm, norm, place, found)


def _leads(of: Outcomes, norm: str, defence: str = "at_dual") -> Line:
    """The paper's "up to" is a maximum over a sweep, which favours chance: this point is named beforehand."""
    found = compared(of.dual(defence, norm, norm), of.dual("at_pgd", norm, norm), paired_shares)
    return Line("at_dual_leads", defence, norm, norm, _dual(of, norm), found, "at_pgd")


def _large_pgd(of: Outcomes, norm: str, defence: str = "at_dual") -> Line:
    """The smallest budget of the sweep that is larger than 1.5 times eps_f."""
    above = [eps for eps in of.values("pgd", norm, "eps") if eps > LARGE * of.budgets_of(norm)[0]]
    return _pgd_lead(of, "large_pgd", defence, norm, above[0] if above else float("nan"))


def _little_lost(of: Outcomes, norm: str, defence: str = "at_dual") -> Line:
    return _pgd_lead(of, "little_lost", defence, norm, 0.0)


def _pgd_lead(of: Outcomes, claim: str, defence: str, norm: str, eps: float) -> Line:
    found = compared(of.pgd(defence, norm, norm, eps), of.pgd("at_pgd", norm, norm, eps), paired_shares)
    return Line(claim, defence, norm, norm, f"PGD, eps = {eps:g}", found, "at_pgd")


def _dual(of: Outcomes, norm: str) -> str:
    eps_f, eps_b = of.budgets_of(norm)
    return f"dual, eps_f = {eps_f:g}, eps_b = {eps_b:g}"
