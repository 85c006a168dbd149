"""The claims in words: rules, numbers with intervals, tests, and the tally."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from dualperturb.evaluation.claims.lines import RULES
from dualperturb.figures.names import LABELS
from dualperturb.report import claims_text
from dualperturb.report.claims import tally
from tests.small_tables import small_claims

BREAKS = "AT-PGD breaks under the dual attack"
RAISES = "A larger salience weight raises the foreground score"
LEADS = "AT-Dual is up to 40 points better than AT-PGD under dual"


@pytest.fixture
def text() -> pd.DataFrame:
    return claims_text(small_claims())


def test_every_claim_has_words() -> None:
    lines = pd.concat([small_claims().iloc[:1].assign(claim=claim) for claim in RULES])
    text = claims_text(lines)
    assert text["claim"].nunique() == len(RULES) and not text["holds if"].str.contains("*", regex=False).any()


def test_shares_leads_and_means_have_their_units(text: pd.DataFrame) -> None:
    by_claim = text.drop_duplicates("claim").set_index("claim")
    broken, lead, score = (by_claim.loc[claim] for claim in (BREAKS, LEADS, RAISES))
    assert broken["holds if"].endswith("is below 10 %") and broken["ours"] == "40.0 % [35.0, 45.0]"
    assert lead["holds if"].endswith("is above 40 points")
    assert lead["ours"] == "+50.0 points [+45.0, +55.0]"
    assert score["holds if"].endswith("more than 0") and score["ours"] == "+0.010 [-0.040, +0.060]"
    assert by_claim.loc["AT-Dual is better under JSMA", "ours"] == "+0.0 points [-5.0, +5.0]"
    assert broken["at"] == "where at_pgd_broken is" and broken["n"] == "50"


def test_the_bound_is_that_of_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "at_pgd_broken", type(RULES["at_pgd_broken"])("below", 0.15))
    assert claims_text(small_claims())["holds if"][0].endswith("is below 15 %")


def test_a_classifier_has_its_loss_and_norms(text: pd.DataFrame) -> None:
    assert list(text["classifier"]) == [
        *("AT-PGD, L2", "AT-Dual less AT-PGD, L2"),
        *("Clean, cross-entropy loss, L2", "Clean, DLR loss, L2"),
        *("AT-Dual less AT-PGD, L2", "Clean, L2", "AT-Dual less AT-PGD, L2 under L-infinity"),
        "AT-Dual less AT-PGD, L-infinity",
    ]


@pytest.mark.parametrize("name", ["whole_10", "trades"])
def test_a_claim_about_at_dual_names_the_defence_beside_the_papers(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that has a label, as a coded one."""
    monkeypatch.setitem(LABELS, "trades", "TRADES")
    shown = {"whole_10": "whole_10", "trades": "TRADES"}[name]
    own = {"claim": "across_dual", "defence": name, "norm": "Linf"}
    row = claims_text(small_claims().iloc[[1]].assign(**own)).iloc[0]
    assert row["claim"] == f"Trained in another norm, {shown} is much better under dual"
    assert row["classifier"] == f"{shown} less AT-PGD, L2 under L-infinity"
    text = claims_text(small_claims())
    assert not text["claim"].str.contains(shown).any() and (text["claim"] == LEADS).any()


def test_a_p_value_that_is_small_or_lacks_is_told(text: pd.DataFrame) -> None:
    assert list(text["p"]) == ["–", "–", "<0.001", "0.500", "0.012", "–", "0.012", "0.012"]


def test_what_was_not_measured_has_no_number(text: pd.DataFrame) -> None:
    row = text.iloc[5]
    assert row["verdict"] == "not measured" and set(row[["ours", "p", "n", "at"]]) == {"–"}


def test_the_words_outlive_the_file(text: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "claims.csv"
    small_claims().to_csv(path, index=False)
    pd.testing.assert_frame_equal(claims_text(pd.read_csv(path)), text)


def test_the_tally_counts_the_sure_lines_apart() -> None:
    claims = small_claims()
    assert tally(claims) == "3 of 8 lines hold, 1 fail, 3 are open at this n, 1 were not measured."
    measured = claims[claims["verdict"] != "not measured"]
    assert tally(measured) == "3 of 7 lines hold, 1 fail, 3 are open at this n."
