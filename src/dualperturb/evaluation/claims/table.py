"""The table of all claims, a line each, with tests adjusted for their number."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from dualperturb.evaluation.claims.budgets import across_lines, budget_lines
from dualperturb.evaluation.claims.lines import COLUMNS, OURS, PAPER, Line
from dualperturb.evaluation.claims.measures import carlini_wagner_lines, trained_lines
from dualperturb.evaluation.claims.outcomes import Outcomes
from dualperturb.evaluation.claims.paired import holm
from dualperturb.evaluation.claims.salience import salience_lines
from dualperturb.evaluation.claims.unsuspicious import Judged, unsuspicious_lines

TRAINED, ACROSS = "L2", "Linf"  # the paper trains in L2; its Fig. 5 attacks these classifiers in L-infinity


def claims_table(
    images: pd.DataFrame,
    budgets: Mapping[str, tuple[float, float]],
    judged: Mapping[str, Sequence[Judged]],
) -> pd.DataFrame:
    """The columns `COLUMNS`, a row for each line of each data set.

    images: as in `Outcomes`, with the column dataset; budgets: norm -> eps_f and eps_b at the paper's scale;
    judged: data set -> outcomes by norm. The setting "paper" has all of the paper's claims, measured or not;
    "ours" has those about unsuspicious examples, and what was measured of the paper's on classifiers trained
    with another norm. p is adjusted by Holm's method over the lines of one data set and setting.
    """
    rows = []
    for dataset in images["dataset"].unique():
        of = Outcomes(images[images["dataset"] == dataset], budgets)
        for setting, lines in ((PAPER, list(_papers(of))), (OURS, list(_ours(of, judged[dataset])))):
            made = [{"dataset": dataset, "setting": setting, **line.row()} for line in lines]
            for row, p in zip(made, holm([row.get("p") for row in made]), strict=True):
                row["p"] = p
            rows += made
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _papers(of: Outcomes) -> Iterator[Line]:
    yield from budget_lines(of, TRAINED)
    yield from salience_lines(of, TRAINED)
    yield from across_lines(of, TRAINED, ACROSS)
    yield from trained_lines(of, TRAINED)
    yield from carlini_wagner_lines(of, TRAINED)


def _ours(of: Outcomes, judged: Sequence[Judged]) -> Iterator[Line]:
    for one in judged:
        yield from (line for line in unsuspicious_lines(one) if line.found is not None)
    for norm in of.budgets:
        if norm != TRAINED:
            lines = [*budget_lines(of, norm), *salience_lines(of, norm), *trained_lines(of, norm)]
            yield from (line for line in lines if line.found is not None)
