from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from dualperturb.core.score import foreground_score
from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation.measuring.scoring import AttackSettings, attack_images
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.evaluation.tables import BOUNDS
from dualperturb.evaluation.unsuspicious.outcomes import Attack, outcomes
from dualperturb.evaluation.unsuspicious.tables import bound_rows, judge_rows, unsuspicious
from dualperturb.saliency.contrast import ContrastSaliency

MakeSubject = Callable[..., Subject]
SETTINGS = AttackSettings(steps=6, step_size=0.5, restarts=1, batch_size=6, seed=0)
DUAL = ThreatModel("L2", 0.1, 0.6)


def distance(first: Tensor, second: Tensor) -> Tensor:
    """A distance that needs no package."""
    return (second - first).abs().flatten(1).mean(dim=1)


def judged(subject: Subject, attack: Attack) -> pd.DataFrame:
    judges = {"builtin": subject.saliency, "contrast": ContrastSaliency()}
    return outcomes(subject, attack, judges, SETTINGS, distance)


def test_outcomes_are_those_of_the_attack_judged_by_each_model(make_subject: MakeSubject) -> None:
    subject = make_subject([7, 3, 19, 1, 2, 4, 5, 6])
    table = judged(subject, Attack(DUAL))
    attacked = attack_images(subject, DUAL, 0.0, SETTINGS)
    assert table["index"].tolist() == [7, 3, 19, 1, 2, 4, 5, 6]
    assert table["fooled"].tolist() == (~attacked["correct"]).tolist()
    assert np.allclose(table["score_builtin"], attacked["foreground_score"])
    images = torch.from_numpy(subject.data.images[subject.indices]).float() / 255
    foreground = torch.from_numpy(subject.foreground[subject.indices])
    with torch.no_grad():
        clean = foreground_score(ContrastSaliency()(images), foreground)
    assert np.allclose(table["clean_contrast"], clean, atol=1e-6)
    assert not np.allclose(table["score_contrast"], clean, atol=1e-3)
    assert (table["whole"] > 0).all()


def test_a_bound_is_held_under_the_subjects_model_or_under_the_guides(make_subject: MakeSubject) -> None:
    subject, contrast = make_subject(), ContrastSaliency()
    plain = judged(subject, Attack(DUAL))
    own = judged(subject, Attack(DUAL, bound="clean"))
    guided = judged(subject, Attack(DUAL, bound="clean", guides=(contrast,)))
    assert (plain["score_builtin"] < plain["clean_builtin"] - 1e-3).any()
    assert (own["score_builtin"] >= own["clean_builtin"] - 1e-6).all()
    assert (own["score_contrast"] < own["clean_contrast"] - 1e-3).any()
    assert (guided["score_contrast"] >= guided["clean_contrast"] - 1e-6).all()
    assert own["fooled"].sum() > 8


def test_an_example_below_the_sweeps_bound_counts_for_nothing(make_subject: MakeSubject) -> None:
    subject = make_subject()
    plain = attack_images(subject, DUAL, 0.0, SETTINGS)
    settings = AttackSettings(6, 0.5, 1, 6, 0, min_foreground_score=1.0)
    bounded = attack_images(subject, DUAL, 0.0, settings)
    full = bounded["index"] == 2
    assert not plain["correct"].all() and bounded.loc[~full, "correct"].all()
    one_region = attack_images(subject, ThreatModel("L2", 0.6), 0.0, settings)
    assert not one_region["correct"].all(), "PGD knows no bound"


def table(fooled: list[bool], score: list[float], other: list[float]) -> pd.DataFrame:
    """Four images whose clean scores are 0.6 under both judges."""
    return pd.DataFrame(
        {
            **{"fooled": fooled, "score_a": score, "score_b": other, "whole": 0.2, "foreground": 0.1},
            **{"clean_a": 0.6, "clean_b": 0.6},
        }
    )


SEVERAL = {
    "first": [table([True, True, False, True], [0.9, 0.5, 1.0, 0.6], [0.1, 0.9, 0.9, 0.6])],
    "second": [
        table([False, True, True, False], [0.9, 0.7, 0.3, 0.0], [0.9, 0.3, 0.7, 0.9]),
        table([False, False, True, False], [0.9, 0.7, 0.8, 0.0], [0.9, 0.3, 0.1, 0.9]),
    ],
}


def test_an_example_is_unsuspicious_if_it_fools_and_every_judge_finds_the_bound_held() -> None:
    first = SEVERAL["first"][0]
    assert unsuspicious(first, ["a"], None).tolist() == [True, False, False, True]
    assert unsuspicious(first, ["a"], 0.9).tolist() == [True, False, False, False]
    assert unsuspicious(first, ["a", "b"], None).tolist() == [False, False, False, True]


def test_over_the_bound_accuracy_rises_and_all_attacks_together_leave_least() -> None:
    rows = pd.DataFrame(bound_rows(SEVERAL, "a")).pivot(index="value", columns="attack", values="accuracy")
    assert tuple(rows.index) == BOUNDS
    assert rows.loc[0.0].to_dict() == {"first": 0.25, "second": 0.5, "any": 0.0}
    assert rows.loc[0.7].to_dict() == {"first": 0.75, "second": 0.5, "any": 0.25}
    assert rows.loc[1.0].to_dict() == {"first": 1.0, "second": 1.0, "any": 1.0}
    assert (rows.diff().dropna() >= 0).all().all()


def test_each_judge_and_all_unseen_ones_together_give_their_verdict() -> None:
    rows = pd.DataFrame(judge_rows(SEVERAL, ["a", "b"], ["b"])).set_index(["attack", "judge"])
    assert rows["accuracy"].to_dict() == {
        **{("first", "a"): 0.5, ("first", "b"): 0.5, ("first", "unseen"): 0.5},
        **{("second", "a"): 0.5, ("second", "b"): 0.75, ("second", "unseen"): 0.75},
        **{("any", "a"): 0.0, ("any", "b"): 0.25, ("any", "unseen"): 0.25},
    }
    shown = rows.loc[("second", "a")]
    assert shown["foreground_score"] == pytest.approx(0.475) and shown["score_change"] == pytest.approx(
        -0.125
    )
    assert shown["crossed_half"] == 2, "in the first run"
    assert shown["ssim_distance"] == pytest.approx(0.2)
    assert np.isnan(rows.loc[("second", "b"), "ssim_distance"])
    assert np.isnan(rows.loc[("any", "a"), "score_change"])
    assert "unseen" not in {row["judge"] for row in judge_rows(SEVERAL, ["a"], [])}


def test_rounding_alone_breaks_no_bound() -> None:
    rounded = table([True] * 4, [0.6 - 1e-6, 0.6 - 1e-4, 1.0, 0.0], [0.6] * 4)
    assert unsuspicious(rounded, ["a"], None).tolist() == [True, False, True, False]
