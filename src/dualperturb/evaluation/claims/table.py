"""The table of all claims, a line each, with tests adjusted for their number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from dualperturb.evaluation.claims.budgets import across_leads, across_lines, budget_lines, further_lines
from dualperturb.evaluation.claims.lines import COLUMNS, OURS, PAPER, Line
from dualperturb.evaluation.claims.measures import carlini_wagner_lines, trained_lines
from dualperturb.evaluation.claims.outcomes import Outcomes, further
from dualperturb.evaluation.claims.paired import holm
from dualperturb.evaluation.claims.salience import salience_lines
from dualperturb.evaluation.claims.unsuspicious import Judged, unsuspicious_lines

CARLINI_WAGNER = "L2"  # the norm of their attack


@dataclass(frozen=True)
class Norms:
    """The norms in which the paper's claims are judged: those of its figures.

    accuracy: of attacks and of training, Fig. 4; salience: the same, Fig. 3; across: of attacks, Fig. 5;
    trained: of training, Fig. 5, which JSMA and gradients follow. Paper: L2 but for `across`, L-infinity.
    """

    accuracy: str
    salience: str
    across: str
    trained: str


def claims_table(
    images: pd.DataFrame,
    budgets: Mapping[str, tuple[float, float]],
    judged: Mapping[str, Sequence[Judged]],
    norms: Norms,
) -> pd.DataFrame:
    """The columns `COLUMNS`, a row for each line of each data set.

    images: as in `Outcomes`, with the column dataset; budgets: norm -> eps_f and eps_b at the paper's scale;
    judged: data set -> outcomes by norm. The setting "paper" has all of the paper's claims in `norms`,
    measured or not; "ours" has those about unsuspicious examples, and what was measured of the paper's on
    classifiers trained with another norm, and of those about AT-Dual on each defence beside the paper's. p is
    adjusted by Holm's method over the lines of one data set and setting.
    """
    rows = []
    for dataset in images["dataset"].unique():
        of = Outcomes(images[images["dataset"] == dataset], budgets)
        ours = _ours(of, judged[dataset], norms)
        for setting, lines in ((PAPER, list(_papers(of, norms))), (OURS, list(ours))):
            made = [{"dataset": dataset, "setting": setting, **line.row()} for line in lines]
            for row, p in zip(made, holm([row.get("p") for row in made]), strict=True):
                row["p"] = p
            rows += made
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _papers(of: Outcomes, norms: Norms) -> Iterator[Line]:
    yield from budget_lines(of, norms.accuracy)
    yield from salience_lines(of, norms.salience)
    yield from across_lines(of, norms.trained, norms.across)
    yield from trained_lines(of, norms.trained)
    yield from carlini_wagner_lines(of, CARLINI_WAGNER)


def _ours(of: Outcomes, judged: Sequence[Judged], norms: Norms) -> Iterator[Line]:
    lines = [line for one in judged for line in unsuspicious_lines(one)]
    for defence in further(of.images):
        for norm in of.budgets:
            lines += [*further_lines(of, defence, norm), *trained_lines(of, norm, defence)]
        lines += across_leads(of, norms.trained, norms.across, defence)
    for norm in of.budgets:
        lines += budget_lines(of, norm) if norm != norms.accuracy else []
        lines += salience_lines(of, norm) if norm != norms.salience else []
        lines += trained_lines(of, norm) if norm != norms.trained else []
    yield from (line for line in lines if line.found is not None)
