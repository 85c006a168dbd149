"""Dual-AutoAttack as the evaluation runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dualperturb import L2
from dualperturb.attacks.auto import AutoResult, auto_attack
from dualperturb.core.result import AttackResult
from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation import strong
from dualperturb.evaluation.measuring.scoring import AttackSettings, BrokenThreatModelError, attack_images
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.evaluation.strong import auto_attack_images
from dualperturb.saliency.center import CenterSaliency

MakeSubject = Callable[..., Subject]
SETTINGS = AttackSettings(steps=20, step_size=0.25, restarts=1, batch_size=7, seed=0)
DUAL = ThreatModel("L2", 0.1, 0.3)


def test_it_is_no_weaker_than_pgd_and_tells_what_fooled(make_subject: MakeSubject) -> None:
    table = auto_attack_images(make_subject(), DUAL, SETTINGS)
    by_pgd = attack_images(make_subject(), DUAL, 0.0, SETTINGS)
    assert table["index"].tolist() == list(range(20))
    assert table["correct"].sum() <= by_pgd["correct"].sum()
    assert set(table.loc[table["correct"], "fooled_by"]) <= {"none"}
    assert "clean" in set(table["fooled_by"]) and "none" not in set(table.loc[~table["correct"], "fooled_by"])


def test_batches_change_nothing(make_subject: MakeSubject) -> None:
    one, other = (
        auto_attack_images(make_subject(), DUAL, replace(SETTINGS, batch_size=size)) for size in (7, 20)
    )
    assert one["predicted"].tolist() == other["predicted"].tolist()


def test_every_setting_that_it_uses_reaches_it(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def watched(model: object, images, labels, ball, **given: Any) -> AutoResult:  # type: ignore[no-untyped-def]
        asked.update(given, radii=(ball.inside, ball.outside))
        return auto_attack(model, images, labels, ball, **given)

    monkeypatch.setattr(strong, "auto_attack", watched)
    auto_attack_images(make_subject([7, 3]), DUAL, replace(SETTINGS, steps=2, seed=9))
    usual = {"steps": 2, "seed": 9, "indices": [7, 3], "radii": (L2(0.1), L2(0.3))}
    (scoring,) = asked.pop("saliency")
    assert scoring is not None and asked == usual | {"min_foreground_score": None}
    guides = (scoring, CenterSaliency())
    bounded = replace(SETTINGS, min_foreground_score="clean", guides=guides)
    auto_attack_images(make_subject([7, 3]), DUAL, bounded)
    assert asked["saliency"] == guides and asked["min_foreground_score"] == "clean"


def test_under_a_bound_an_example_that_misses_it_counts_for_nothing(make_subject: MakeSubject) -> None:
    """What is wrong anyway holds the bound "clean"; 1 holds where all is foreground, in image 2, alone."""
    clean, most = (
        auto_attack_images(make_subject(), DUAL, replace(SETTINGS, min_foreground_score=bound))
        for bound in ("clean", 1.0)
    )
    fooled = clean["predicted"] != clean["label"]
    assert (clean["correct"] == ~(fooled & clean["feasible"])).all() and fooled[::5].all()
    assert not clean["correct"][::5].any()
    assert most["feasible"].tolist() == [index == 2 for index in range(20)]
    assert most["correct"].drop(2).all() and (most["predicted"] != most["label"]).drop(2).any()


def test_its_claim_is_measured_anew(make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    def outside(model: object, images, labels, ball, **_: object) -> AttackResult:  # type: ignore[no-untyped-def]
        return AttackResult((images + 0.5).clamp(0, 1), labels == labels, {})

    monkeypatch.setattr(strong, "auto_attack", outside)
    with pytest.raises(BrokenThreatModelError, match="L2 norm"):
        auto_attack_images(make_subject(), DUAL, SETTINGS)
