"""The table of claims: which lines there are, at which points they are read off, and their verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dualperturb.evaluation.claims.lines import COLUMNS, RULES, Rule
from dualperturb.evaluation.claims.table import Norms, claims_table
from dualperturb.evaluation.claims.trainings import over_trainings
from dualperturb.evaluation.claims.unsuspicious import Judged
from dualperturb.evaluation.tables import LOSS
from tests.small_tables import BUDGETS, NORMS, classifiers

IMAGES = 100
PAPERS_NORMS = Norms(accuracy="L2", salience="L2", across="Linf", trained="L2")
FEWER = {"jsma": 50, "cw": 40}  # of the same images
NOT_JUDGED: dict[str, list[Judged]] = {"shapes6": [], "folder": []}
PAPERS = set(RULES) - {"constraint_beats_sum", "guides_transfer", "at_dual_unsuspicious"}
RIGHT = {"clean": 10, "at_pgd": 40, "at_dual": 70}  # images that withstand every attack, of the first ones
GRIDS = {"eps": {"L2": (0, 2, 3, 4, 5), "Linf": (0, 4, 6, 8)}, "eps_f": (0, 2, 4), "eps_b": (0, 10, 20)}
GATHERED = {"clean": 0.1, "at_pgd": 0.2, "at_dual": 0.4}  # least share of a gradient inside the foreground


def outcomes(norms: tuple[str, ...] = NORMS) -> pd.DataFrame:
    """Every measure; accuracy, score and gradients depend on the classifier and the image alone."""
    return pd.concat([pd.DataFrame(_rows(*point)) for point in _points(norms)], ignore_index=True)


def _points(norms: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    for defence, trained in classifiers(norms):
        for norm in norms:
            for axis, grid in GRIDS.items():
                for value in grid[norm] if isinstance(grid, dict) else grid:
                    attack = "pgd" if axis == "eps" else "dual"
                    yield defence, trained, attack, norm, axis, float(value), "first"
        for share in (0.0, 0.1, 0.05):
            yield defence, trained, "jsma", "L0", "share", share, np.nan
        yield defence, trained, "none", "none", "gradient", 0.0, np.nan
        if trained in ("none", "L2") and "L2" in norms:
            yield from ((defence, trained, "cw", "L2", "eps", eps, np.nan) for eps in (0.0, 2.0))
        for loss in ("first", "second"):
            for weight in (0.0, 1.0, 10.0):
                if trained in ("none", norms[0]):
                    yield defence, trained, "dual", norms[0], "salience_weight", weight, loss


def _rows(
    defence: str, trained: str, attack: str, norm: str, axis: str, value: float, loss: str
) -> dict[str, Any]:
    own = {"dataset": "shapes6", "defence": defence, "trained_norm": trained, "attack": attack}
    count = FEWER.get(attack, IMAGES)
    own |= {"norm": norm, "axis": axis, "value": value, LOSS: loss, "index": np.arange(count) * 7}
    if axis == "gradient":
        return own | {"gradient_share": GATHERED[defence] + np.linspace(0, 0.5, count)}
    own |= {"correct": first(RIGHT[defence], count)}
    return own | ({"foreground_score": np.full(count, 0.95)} if attack in ("pgd", "dual") else {})


def put(images: pd.DataFrame, column: str, values: np.ndarray, **where: object) -> None:
    """Set the outcomes of the one point and classifier at which the columns have these values."""
    rows = np.logical_and.reduce([images[name] == value for name, value in where.items()])
    assert rows.sum() == len(values)
    images.loc[rows, column] = values


def first(count: int, of: int = IMAGES) -> np.ndarray:
    return np.arange(of) < count


@pytest.fixture
def images() -> pd.DataFrame:
    return outcomes()


def table(
    images: pd.DataFrame, budgets: dict[str, tuple[float, float]] = BUDGETS, norms: Norms = PAPERS_NORMS
) -> pd.DataFrame:
    return claims_table(images, budgets, NOT_JUDGED, norms)


def line(images: pd.DataFrame, claim: str, **where: object) -> pd.Series:
    found = table(images)
    rows = found[found["claim"] == claim]
    for column, value in {"setting": "paper", **where}.items():
        rows = rows[rows[column] == value]
    assert len(rows) == 1
    return rows.iloc[0]


def test_every_claim_is_there_in_the_papers_setting(images: pd.DataFrame) -> None:
    found = table(images)
    assert tuple(found.columns) == COLUMNS
    paper = found[found["setting"] == "paper"]
    assert set(paper["claim"]) == PAPERS
    assert not (paper["verdict"] == "not measured").any()
    assert set(paper["trained_norm"]) == {"L2"}
    losses = {"score_half": 6, "score_high": 6, "weight_raises": 6, "weight_keeps": 6}
    several = {"dual_stronger": 3, "small_eps_f": 2, "carlini_wagner": 3} | losses
    assert dict(paper["claim"].value_counts()) == dict.fromkeys(PAPERS, 1) | several
    across = paper[paper["claim"].str.startswith("across")]
    assert set(across["norm"]) == {"Linf"}
    shares = paper["claim"].isin(("at_pgd_broken", "score_half", "score_high"))
    assert set(paper[shares]["interval"]) == {"wilson"} and set(paper[~shares]["interval"]) == {"paired"}


def test_training_in_another_norm_is_ours(images: pd.DataFrame) -> None:
    found = table(images)
    ours = found[found["setting"] == "ours"]
    assert set(ours["trained_norm"]) == {"Linf"} and not (ours["verdict"] == "not measured").any()
    assert set(ours["claim"]) == {
        *("dual_stronger", "at_pgd_broken", "small_eps_f", "at_dual_leads", "large_pgd", "little_lost"),
        *("jsma", "gradients"),
    }


def test_a_defence_beside_the_papers_is_judged_by_the_claims_about_at_dual(images: pd.DataFrame) -> None:
    """One that is as AT-Dual: the same lines, all of them ours, in the norms of the paper's figures and in
    others; and one that differs at the points of each claim."""
    twin = images[images["defence"] == "at_dual"].assign(defence="twin")
    found = table(pd.concat([images, twin], ignore_index=True))
    own, papers = found[found["defence"] == "twin"], found[found["defence"] == "at_dual"]
    assert set(own["setting"]) == {"ours"}
    papers = papers[~papers["claim"].isin(("carlini_wagner", "score_half", "score_high"))]
    papers = papers[~papers["claim"].str.startswith("weight")]
    said = ["claim", "trained_norm", "norm"]
    own, papers = (rows.set_index(said).sort_index() for rows in (own, papers))
    kept = ["against", "place", "value", "low", "high", "n", "verdict"]
    pd.testing.assert_frame_equal(own[kept], papers[kept])
    assert len(own) == 6 * 2 + 2
    put(twin, "correct", first(95), trained_norm="L2", norm="L2", axis="eps", value=4.0)
    put(twin, "correct", first(80), trained_norm="L2", norm="Linf", axis="eps", value=4.0)
    put(twin, "correct", first(30, 50), trained_norm="Linf", axis="share", value=0.1)
    found = table(pd.concat([images, twin], ignore_index=True))
    own = found[found["defence"] == "twin"].set_index(said)["value"]
    assert own["large_pgd", "L2", "L2"] == pytest.approx(0.55)
    assert own["across_pgd", "L2", "Linf"] == pytest.approx(0.4)
    assert own["jsma", "Linf", "L0"] == pytest.approx(-0.2)


def test_without_the_papers_norm_its_claims_are_not_measured() -> None:
    found = table(outcomes(("Linf",)), {"Linf": BUDGETS["Linf"]})
    paper = found[found["setting"] == "paper"]
    assert set(paper["claim"]) == PAPERS
    others = paper[paper["claim"] != "carlini_wagner"]  # an attack in L2, whatever the figures' norms are
    assert set(others["verdict"]) == {"not measured"}
    assert paper["value"].isna().all() and paper["p"].isna().all()
    assert (found[found["setting"] == "ours"][LOSS] == "first").sum() == 4 * 3


def test_the_claims_are_judged_in_the_norms_of_their_figures(images: pd.DataFrame) -> None:
    """Each figure's claims move with its norms, and what they leave is ours."""
    usual, budget = table(images), ["dual_stronger", "at_pgd_broken", "large_pgd"]
    moved = table(images, norms=replace(PAPERS_NORMS, accuracy="Linf"))
    for setting, norm in (("paper", "Linf"), ("ours", "L2")):
        rows = moved[(moved["setting"] == setting) & moved["claim"].isin(budget)]
        assert len(rows) == 5 and set(rows["norm"]) == set(rows["trained_norm"]) == {norm}
    papers = [found[found["setting"] == "paper"] for found in (usual, moved)]
    others = [found[found["claim"].isin(("carlini_wagner", "jsma", "score_half"))] for found in papers]
    pd.testing.assert_frame_equal(*(found.drop(columns="p") for found in others))
    moved = table(images, norms=replace(PAPERS_NORMS, across="L2", trained="Linf"))
    rows = moved[(moved["setting"] == "paper") & moved["claim"].isin(("across_pgd", "jsma", "gradients"))]
    assert list(rows["trained_norm"]) == ["Linf"] * 3 and rows["norm"].iloc[0] == "L2"
    moved = table(images, norms=replace(PAPERS_NORMS, salience="Linf"))
    score = moved[moved["claim"] == "score_half"]
    assert list(score["setting"]) == ["paper"] * 3 + ["ours"] * 6
    assert set(score[score["setting"] == "paper"]["verdict"]) == {"not measured"}, "Fig. 3 was swept in L2"


def test_claims_in_a_norm_that_is_not_in_use_are_not_measured(images: pd.DataFrame) -> None:
    found = table(images, norms=Norms(accuracy="L1", salience="L1", across="Linf", trained="L1"))
    paper = found[found["setting"] == "paper"]
    others = paper[paper["claim"] != "carlini_wagner"]  # in L2, whatever the figures' norms are
    assert set(paper["claim"]) == PAPERS and set(others["verdict"]) == {"not measured"}
    assert {"at_pgd_broken", "score_half", "jsma"} <= set(found[found["setting"] == "ours"]["claim"])


def test_a_point_that_was_not_swept_is_not_measured(images: pd.DataFrame) -> None:
    kept = images[(images["axis"] != "eps") | (images["value"] <= 3)]
    verdicts = table(kept).query("setting == 'paper'").set_index("claim")["verdict"]
    assert verdicts["large_pgd"] == "not measured" and verdicts["little_lost"] == "holds"
    kept = images[(images["axis"] != "salience_weight") | (images["value"] == 10)]
    verdicts = table(kept).query("setting == 'paper'").set_index("claim")["verdict"]
    for claim in ("score_half", "score_high", "weight_raises", "weight_keeps"):
        assert set(verdicts[claim]) == {"not measured"}


def test_dual_is_compared_with_pgd_image_by_image(images: pd.DataFrame) -> None:
    at = {"defence": "at_pgd", "trained_norm": "L2", "norm": "L2"}
    put(images, "correct", first(90), attack="pgd", value=2.0, **at)
    put(images, "correct", ~first(95), axis="eps_b", value=20.0, **at)
    found = line(images, "dual_stronger", defence="at_pgd")
    assert found["value"] == pytest.approx(-0.85) and found["verdict"] == "holds" and found["p"] < 0.001
    assert found["place"] == "dual, eps_f = 2, eps_b = 20, less PGD, eps = 2"
    put(images, "correct", first(90), axis="eps_b", value=20.0, **at)
    same = line(images, "dual_stronger", defence="at_pgd")
    assert same["value"] == 0 and same["verdict"] == "open" and same["p"] == 1


def test_a_point_of_the_other_sweep_serves_as_well(images: pd.DataFrame) -> None:
    kept = images[(images["axis"] != "eps_b") | (images["value"] < 20)]
    assert line(kept, "at_pgd_broken")["value"] == pytest.approx(0.4)


@pytest.mark.parametrize(("right", "verdict"), [(3, "holds"), (7, "open"), (30, "fails")])
def test_at_pgd_is_broken_by_the_whole_interval(images: pd.DataFrame, right: int, verdict: str) -> None:
    at = {"defence": "at_pgd", "trained_norm": "L2", "norm": "L2", "axis": "eps_b", "value": 20.0}
    put(images, "correct", first(right), **at)
    found = line(images, "at_pgd_broken")
    assert found["value"] == right / 100 and found["verdict"] == verdict and pd.isna(found["p"])


def test_a_small_foreground_budget_is_the_least_of_the_sweep_above_0(images: pd.DataFrame) -> None:
    at = {"defence": "clean", "trained_norm": "none", "norm": "L2"}
    put(images, "correct", first(0), axis="eps_f", value=2.0, **at)
    found = line(images, "small_eps_f", defence="clean")
    assert found["value"] == pytest.approx(-0.1) and found["verdict"] == "holds"


def test_the_lead_is_read_off_at_the_point_named_beforehand(images: pd.DataFrame) -> None:
    at = {"defence": "at_dual", "trained_norm": "L2", "norm": "L2", "axis": "eps_b"}
    put(images, "correct", first(100), value=10.0, **at)
    assert line(images, "at_dual_leads")["verdict"] == "fails", "the largest lead is elsewhere"
    put(images, "correct", first(95), value=20.0, **at)
    found = line(images, "at_dual_leads")
    assert found["value"] == pytest.approx(0.55) and found["verdict"] == "holds"
    assert found["place"] == "dual, eps_f = 2, eps_b = 20" and found["against"] == "at_pgd"


def test_large_budgets_begin_above_three(images: pd.DataFrame) -> None:
    at = {"defence": "at_dual", "trained_norm": "L2", "norm": "L2", "attack": "pgd"}
    put(images, "correct", first(100), value=3.0, **at)
    put(images, "correct", first(45), value=5.0, **at)
    found = line(images, "large_pgd")
    assert found["value"] == pytest.approx(0.3) and found["place"] == "PGD, eps = 4"
    assert line(images, "large_pgd", setting="ours")["place"] == "PGD, eps = 8"


def test_eight_points_may_be_lost_on_clean_images(images: pd.DataFrame) -> None:
    at = {"trained_norm": "L2", "norm": "L2", "attack": "pgd", "value": 0.0}
    put(images, "correct", first(80), defence="at_pgd", **at)
    for right, verdict in ((80, "holds"), (74, "open"), (60, "fails")):
        put(images, "correct", first(right), defence="at_dual", **at)
        assert line(images, "little_lost")["verdict"] == verdict


def test_scores_are_counted_at_the_papers_weight(images: pd.DataFrame) -> None:
    at = {"defence": "clean", "axis": "salience_weight", LOSS: "second", "value": 1.0}
    put(images, "foreground_score", np.where(first(30), 0.95, np.where(first(80), 0.6, 0.4)), **at)
    half, high = (
        line(images, name, defence="clean", **{LOSS: "second"}) for name in ("score_half", "score_high")
    )
    assert half["value"] == 0.8 and half["verdict"] == "holds" and half["place"] == "weight 1"
    assert high["value"] == 0.3 and high["verdict"] == "fails"
    assert line(images, "score_half", defence="clean", **{LOSS: "first"})["value"] == 1


def test_the_weight_raises_from_least_to_largest_and_keeps_at_the_papers(images: pd.DataFrame) -> None:
    at = {"defence": "clean", "axis": "salience_weight", LOSS: "first"}
    put(images, "foreground_score", np.linspace(0.2, 0.4, IMAGES), value=0.0, **at)
    put(images, "foreground_score", np.full(IMAGES, 0.2), value=1.0, **at)
    put(images, "correct", first(90), value=10.0, **at)
    one = {"defence": "clean", LOSS: "first"}
    raised, kept = line(images, "weight_raises", **one), line(images, "weight_keeps", **one)
    assert raised["value"] == pytest.approx(0.65) and raised["place"] == "weight 10 less 0"
    assert raised["verdict"] == "holds" and raised["p"] == 0
    assert kept["value"] == 0 and kept["place"] == "weight 1 less 0" and kept["verdict"] == "holds"
    put(images, "correct", first(30), value=1.0, **at)
    assert line(images, "weight_keeps", **one)["verdict"] == "fails"


def test_across_norms_the_classifiers_are_those_trained_in_l2(images: pd.DataFrame) -> None:
    at = {"norm": "Linf", "axis": "eps_b", "value": 20.0}
    put(images, "correct", first(99), defence="at_dual", trained_norm="Linf", **at)
    put(images, "correct", first(90), defence="at_dual", trained_norm="L2", **at)
    # The point {4, 20}, not the paper's {2, 20} of L2: both are on the axis eps_f.
    put(images, "correct", first(14), defence="at_pgd", trained_norm="L2", **at)
    assert line(images, "across_dual")["value"] == pytest.approx(0.76)
    hardly = line(images, "across_hardly")
    assert hardly["value"] == pytest.approx(0.04) and hardly["against"] == "clean"
    assert line(images, "across_pgd")["value"] == pytest.approx(0.3)


JSMA = {"attack": "jsma", "trained_norm": "L2"}


def test_jsma_is_compared_image_by_image_at_the_largest_share(images: pd.DataFrame) -> None:
    """Newcombe 1998, Statistics in Medicine 17, 2635: 36 images right in both, 12 in one, 2 in the other."""
    put(images, "correct", first(48, 50), defence="at_dual", value=0.1, **JSMA)
    put(images, "correct", ~first(12, 50), defence="at_pgd", value=0.1, **JSMA)
    found = line(images, "jsma")
    assert (found["value"], found["low"], found["high"]) == pytest.approx((0.2, 0.0569, 0.3404), abs=5e-5)
    assert found["n"] == 50 and found["verdict"] == "holds" and found["place"] == "JSMA, 10 % of the pixels"
    smaller = (table(images).query("setting == 'paper'")["p"] < found["p"]).sum()
    tests = table(images).query("setting == 'paper'")["p"].notna().sum()
    assert found["p"] == pytest.approx((tests - smaller) * 2 * (1 + 14 + 91) / 2**14), "McNemar's"


@pytest.mark.parametrize(("also", "verdict"), [(first(22, 50), "holds"), (~first(28, 50), "open")])
def test_the_same_shares_on_other_images_say_less(
    images: pd.DataFrame, also: np.ndarray, verdict: str
) -> None:
    """28 and 22 of 50 images: AT-PGD's among AT-Dual's, or none of them."""
    put(images, "correct", first(28, 50), defence="at_dual", value=0.1, **JSMA)
    put(images, "correct", also, defence="at_pgd", value=0.1, **JSMA)
    found = line(images, "jsma")
    assert found["value"] == pytest.approx(0.12) and found["verdict"] == verdict


def test_gradients_are_compared_image_by_image(images: pd.DataFrame) -> None:
    found = line(images, "gradients")
    assert (found["low"], found["value"], found["high"]) == pytest.approx((0.2, 0.2, 0.2))
    assert found["n"] == 100 and found["p"] == 0 and found["place"] == "clean images"
    at_pgd = (images["axis"] == "gradient") & (images["defence"] == "at_pgd")
    lacking = images[~at_pgd | (images["index"] >= 7 * 30)]
    assert line(lacking, "gradients")["n"] == 70, "30 images without a gradient"
    other = images.copy()
    other.loc[at_pgd, "gradient_share"] = other.loc[at_pgd, "gradient_share"].to_numpy()[::-1]
    found = line(other, "gradients")
    reach = 1.959964 * np.std(2 * np.linspace(0, 0.5, 100), ddof=1) / 10
    assert (found["low"], found["high"]) == pytest.approx((0.2 - reach, 0.2 + reach))


def test_what_was_not_measured_of_jsma_and_gradients(images: pd.DataFrame) -> None:
    kept = images[~images["attack"].isin(("jsma", "none", "cw"))].drop(columns="gradient_share")
    found = table(kept)
    for claim in ("jsma", "gradients", "carlini_wagner"):
        assert set(found[found["claim"] == claim]["verdict"]) == {"not measured"}


def test_carlini_wagner_is_like_pgd_within_ten_points(images: pd.DataFrame) -> None:
    """Judged by the 40 images that both attacked, in L2."""
    at = {"defence": "at_pgd", "trained_norm": "L2", "norm": "L2", "value": 2.0}
    put(images, "correct", first(20), attack="pgd", **at)
    put(images, "correct", first(16, 40), attack="cw", **at)
    found = table(images).query("claim == 'carlini_wagner'").set_index("defence")
    assert list(found["verdict"]) == ["holds", "open", "holds"] and (found["n"] == 40).all()
    one = found.loc["at_pgd"]
    # 16 in both, 4 under PGD alone, 20 in none: Wilson's intervals of 0.4 and 0.5, phi (320 - 20) / 391.9.
    assert (one["value"], one["low"], one["high"]) == pytest.approx((-0.1, -0.1980, 0.0036), abs=5e-5)
    assert one["place"] == "C&W less PGD, eps = 2" and pd.isna(one["p"])
    put(images, "correct", first(0, 40), attack="cw", **at)
    assert line(images, "carlini_wagner", defence="at_pgd")["verdict"] == "fails"


def test_the_tests_are_adjusted_over_each_setting_and_data_set(images: pd.DataFrame) -> None:
    at = {"axis": "eps_b", "value": 20.0, "norm": "Linf", "defence": "at_dual", "trained_norm": "Linf"}
    put(images, "correct", first(55), **at)
    alone = line(images, "dual_stronger", defence="at_dual", setting="ours")
    tests = table(images).query("setting == 'ours'")["p"].notna().sum()
    assert alone["p"] == pytest.approx((tests - 1) * 2 * 0.5**15) and tests == 7
    both = table(pd.concat([images, images.assign(dataset="folder")]))
    assert list(both["dataset"].unique()) == ["shapes6", "folder"]
    own = both[both["dataset"] == "folder"].reset_index(drop=True).drop(columns="dataset")
    pd.testing.assert_frame_equal(own, table(images).drop(columns="dataset"))


@pytest.mark.parametrize(
    ("rule", "low", "high", "verdict"),
    [
        (Rule("above", 0.4), 0.41, 0.5, "holds"),
        (Rule("above", 0.4), 0.4, 0.5, "open"),
        (Rule("above", 0.4), 0.1, 0.39, "fails"),
        (Rule("below", 0.1), 0.0, 0.09, "holds"),
        (Rule("below", 0.1), 0.0, 0.1, "open"),
        (Rule("below", 0.1), 0.11, 0.2, "fails"),
        (Rule("within", 0.1), -0.09, 0.09, "holds"),
        (Rule("within", 0.1), -0.11, 0.09, "open"),
        (Rule("within", 0.1), -0.2, -0.11, "fails"),
        (Rule("within", 0.1), 0.11, 0.2, "fails"),
    ],
)
def test_the_whole_interval_gives_the_verdict(rule: Rule, low: float, high: float, verdict: str) -> None:
    assert rule.verdict(low, high) == verdict


def test_over_trainings_a_line_holds_where_it_holds_in_each(images: pd.DataFrame) -> None:
    at = {"defence": "at_pgd", "trained_norm": "L2", "norm": "L2", "axis": "eps_b", "value": 20.0}
    tables = []
    for count in (2, 4, 30):
        put(images, "correct", first(count), **at)
        tables.append(table(images))
    two, three = over_trainings(tables[:2]), over_trainings(tables)
    broken = [found[found["claim"] == "at_pgd_broken"].iloc[0] for found in (two, three)]
    assert broken[0]["value"] == pytest.approx(0.03) and broken[0]["verdict"] == "holds"
    assert broken[0]["low"] == tables[0].loc[broken[0].name, "low"]
    assert broken[0]["high"] == tables[1].loc[broken[0].name, "high"]
    assert broken[1]["verdict"] == "open" and broken[1]["high"] > 0.3
    assert over_trainings(tables[:1]) is tables[0]


def test_over_trainings_a_line_that_one_of_them_lacks_is_not_measured(images: pd.DataFrame) -> None:
    """Ours come after it: they are put together with their own kind, wherever they stand."""
    whole = table(images)
    lost = (whole["setting"] == "ours") & (whole["claim"] == "large_pgd")
    less, other = whole[~lost].reset_index(drop=True), "little_lost"
    for tables in ([whole, less], [less, whole]):
        found = over_trainings(tables).set_index(["setting", "claim"])
        assert len(found) == len(whole) and tuple(over_trainings(tables).columns) == COLUMNS
        gone, kept = found.loc[("ours", "large_pgd")], found.loc[("ours", other)]
        assert gone["verdict"] == "not measured" and gone[["value", "low", "p", "n", "place"]].isna().all()
        own = whole.set_index(["setting", "claim"]).loc[("ours", other)]
        assert (kept["value"], kept["verdict"]) == (own["value"], own["verdict"])


def test_over_trainings_a_line_that_one_of_them_did_not_measure_is_not_measured(images: pd.DataFrame) -> None:
    unmeasured = table(images[images["attack"] != "jsma"])
    found = over_trainings([table(images), unmeasured]).query("claim == 'jsma'")
    assert set(found["verdict"]) == {"not measured"} and found["value"].isna().all()


def test_of_a_single_image_means_are_not_measured(images: pd.DataFrame) -> None:
    verdicts = table(images[images["index"] == 0]).query("setting == 'paper'").set_index("claim")["verdict"]
    assert verdicts["gradients"] == "not measured" and set(verdicts["weight_raises"]) == {"not measured"}
    assert verdicts["jsma"] == "open"
