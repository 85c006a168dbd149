"""Our claims about unsuspicious examples, from outcomes of ten images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dualperturb.evaluation.claims.unsuspicious import Judged, unsuspicious_lines

IMAGES = 10
# Attack -> how many of the first images it fools with the score kept, under the own and the unseen model.
KEPT = {"sum": (2, 1), "constrained": (8, 1), "guided": (5, 4)}


def rows(defence: str, kept: dict[str, tuple[int, int]]) -> Iterator[pd.DataFrame]:
    for attack, (own, unseen) in kept.items():
        found = {"index": np.arange(IMAGES) * 3, "fooled": True, "defence": defence, "attack": attack}
        for name, count in (("builtin", own), ("contrast", unseen)):
            found |= {f"clean_{name}": 0.6, f"score_{name}": np.where(np.arange(IMAGES) < count, 0.7, 0.5)}
        yield pd.DataFrame(found).assign(run=0)
        yield pd.DataFrame(found).assign(run=1, fooled=False)  # the images as they are


@pytest.fixture
def judged() -> Judged:
    less = {name: (own // 2, unseen) for name, (own, unseen) in KEPT.items()}
    tables = [*rows("clean", KEPT), *rows("at_pgd", KEPT), *rows("at_dual", less)]
    return Judged("Linf", pd.concat(tables, ignore_index=True), "builtin", ("contrast",), "clean")


def test_attacks_are_compared_image_by_image(judged: Judged) -> None:
    lines = {(line.claim, line.defence): line for line in unsuspicious_lines(judged)}
    assert len(lines) == 7
    values = {key: line.found.value for key, line in lines.items() if line.found}
    assert values["constraint_beats_sum", "at_pgd"] == pytest.approx(0.6)
    assert values["constraint_beats_sum", "at_dual"] == pytest.approx(0.3)
    assert values["guides_transfer", "clean"] == pytest.approx(0.3)
    assert values["at_dual_unsuspicious", "at_dual"] == pytest.approx(0.4)
    line = lines["at_dual_unsuspicious", "at_dual"]
    assert (line.against, line.trained_norm, line.norm) == ("at_pgd", "Linf", "Linf")
    assert line.found is not None and line.found.interval == "paired" and line.found.n == IMAGES


def test_a_defence_beside_the_papers_is_compared_with_at_pgd_alone(judged: Judged) -> None:
    kept = {name: (own // 4, unseen) for name, (own, unseen) in KEPT.items()}
    images = pd.concat([judged.images, *rows("twin", kept)], ignore_index=True)
    (line,) = (line for line in unsuspicious_lines(replace(judged, images=images)) if line.defence == "twin")
    assert (line.claim, line.against) == ("at_dual_unsuspicious", "at_pgd")
    assert line.found is not None and line.found.value == pytest.approx(0.6)


def test_attacks_are_compared_by_their_first_runs_and_all_together_by_any(judged: Judged) -> None:
    images = judged.images
    late = (images["attack"] == "sum") & (images["run"] == 1)
    images.loc[late & (images["defence"] == "at_pgd"), ["fooled", "score_builtin"]] = [True, 0.9]
    lines = {(line.claim, line.defence): line.found for line in unsuspicious_lines(judged)}
    beaten, lead = lines["constraint_beats_sum", "at_pgd"], lines["at_dual_unsuspicious", "at_dual"]
    assert beaten is not None and beaten.value == pytest.approx(0.6)
    assert lead is not None and lead.value == pytest.approx(0.6)


def test_what_was_not_run_has_no_number(judged: Judged) -> None:
    images = judged.images[judged.images["attack"] != "guided"]
    found = {
        line.claim: line.found for line in unsuspicious_lines(Judged("L2", images, "builtin", (), "clean"))
    }
    assert found["guides_transfer"] is None and found["constraint_beats_sum"] is not None


def test_runs_at_another_bound_are_not_compared(judged: Judged) -> None:
    found = {line.claim: line.found for line in unsuspicious_lines(replace(judged, first_bound=0.9))}
    assert found["constraint_beats_sum"] is found["guides_transfer"] is None
    assert found["at_dual_unsuspicious"] is not None
