from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from dualperturb import L2, Dual, UserError
from dualperturb.core.result import AttackResult
from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation.measuring import scoring
from dualperturb.evaluation.measuring.scoring import (
    AttackSettings,
    BrokenThreatModelError,
    attack_batch,
    attack_images,
    measure,
    outcome,
)
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.saliency import foreground_score

SETTINGS = AttackSettings(steps=4, step_size=0.5, restarts=1, batch_size=20, seed=0)
DUAL = ThreatModel("L2", 0.3, 1.0)
MakeSubject = Callable[..., Subject]


def handing_in(change: Callable[[Tensor], Tensor], claim: bool = True) -> Callable[..., AttackResult]:
    """An attack that returns whatever `change` makes of its images, and claims success for little norm."""

    def attack(model: object, images: Tensor, labels: Tensor, *_: object, **__: object) -> AttackResult:
        nothing = torch.zeros(len(images))
        return AttackResult(
            change(images), torch.full_like(labels, claim, dtype=torch.bool), {"image": nothing}
        )

    return attack


def test_without_a_budget_no_attack_runs_and_the_accuracy_is_the_clean_one(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("an attack ran")

    monkeypatch.setattr(scoring, "pgd", never)
    for threat in (ThreatModel("L2", 0.0), ThreatModel("Linf", 0.0, 0.0)):
        table = attack_images(make_subject(), threat, 0.0, SETTINGS)
        assert table["correct"].tolist() == [index % 5 != 0 for index in range(20)]
        assert (table[["foreground_norm", "background_norm"]] == 0).all(axis=None)


def test_every_setting_reaches_the_attack(make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def attack(_: object, images: Tensor, labels: Tensor, ball: Dual, **given: Any) -> AttackResult:
        asked.update(given, radii=(ball.inside, ball.outside))
        return AttackResult(images, torch.zeros_like(labels, dtype=torch.bool), {})

    monkeypatch.setattr(scoring, "pgd", attack)
    settings = AttackSettings(3, 0.7, 2, 20, 9, loss="margin", salience_every=4, precision="bf16")
    subject = make_subject([7, 3])
    attack_images(subject, DUAL, 0.25, settings)
    passed = set(vars(settings)) - {"batch_size", "guides"}
    wanted = {name: getattr(settings, name) for name in passed} | {
        "indices": [7, 3],
        "saliency": subject.saliency,
        "salience_weight": 0.25,
        "radii": (L2(0.3), L2(1.0)),
    }
    assert asked == wanted


@pytest.mark.parametrize("threat", [ThreatModel("L2", 0.3, 0.0), ThreatModel("L2", 0.0, 0.3)])
def test_a_budget_in_one_region_alone_is_an_attack(make_subject: MakeSubject, threat: ThreatModel) -> None:
    table = attack_images(make_subject(), threat, 0.0, SETTINGS)
    spent = table[["foreground_norm", "background_norm"]].max()
    assert spent.tolist() == pytest.approx([threat.eps_f, threat.eps_b], abs=1e-5)


def test_every_image_asked_for_has_one_row_in_their_order(make_subject: MakeSubject) -> None:
    table = attack_images(make_subject([7, 3, 19]), DUAL, 0.0, replace(SETTINGS, batch_size=2))
    assert table["index"].tolist() == [7, 3, 19]
    assert list(table.columns) == [
        *("index", "label", "predicted", "correct"),
        *("foreground_norm", "background_norm", "foreground_score"),
    ]


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_the_outcome_does_not_depend_on_the_batch_size(make_subject: MakeSubject, weight: float) -> None:
    whole = attack_images(make_subject(), ThreatModel("L2", 0.1, 0.1), weight, SETTINGS)
    for size in (1, 7):
        parts = attack_images(
            make_subject(), ThreatModel("L2", 0.1, 0.1), weight, replace(SETTINGS, batch_size=size)
        )
        exact = ["index", "label", "predicted", "correct"]
        pd.testing.assert_frame_equal(parts[exact], whole[exact])
        pd.testing.assert_frame_equal(parts, whole, rtol=1e-3, atol=1e-5)


def test_the_outcome_of_an_image_does_not_depend_on_the_others(make_subject: MakeSubject) -> None:
    whole = attack_images(make_subject(), DUAL, 0.0, SETTINGS).set_index("index")
    some = attack_images(make_subject([18, 4]), DUAL, 0.0, SETTINGS).set_index("index")
    pd.testing.assert_frame_equal(some, whole.loc[[18, 4]], rtol=1e-3, atol=1e-5)


def test_norms_predictions_and_scores_are_taken_from_the_images(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = make_subject()
    monkeypatch.setattr(scoring, "pgd", handing_in(lambda images: (images - 0.01).clamp(min=0)))
    table = attack_images(subject, ThreatModel("L2", 10.0, 10.0), 0.0, SETTINGS)
    clean = torch.from_numpy(subject.data.images).float() / 255
    moved = (clean - 0.01).clamp(min=0)
    delta, mask = (moved - clean).numpy().astype(np.float64), subject.foreground
    assert np.allclose(table["foreground_norm"], np.sqrt((delta**2 * mask).sum((1, 2, 3))), rtol=1e-5)
    assert np.allclose(table["background_norm"], np.sqrt((delta**2 * ~mask).sum((1, 2, 3))), rtol=1e-5)
    with torch.no_grad():
        scores = foreground_score(subject.saliency(moved), torch.from_numpy(mask))
        predicted = subject.model(moved).argmax(dim=1)
    assert np.allclose(table["foreground_score"], scores.numpy(), atol=1e-6)
    assert table["predicted"].tolist() == predicted.tolist()
    assert table["correct"].tolist() == (predicted.numpy() == subject.data.labels).tolist()


def test_an_attack_that_does_nothing_and_claims_success_gains_nothing(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "pgd", handing_in(lambda images: images))
    assert attack_images(make_subject(), DUAL, 0.0, SETTINGS)["correct"].mean() == 0.8


def one_pixel(row: int, size: float) -> Callable[[Tensor], Tensor]:
    """Move one channel of one pixel of image 6 towards grey by `size`; row 0 or 7."""

    def change(images: Tensor) -> Tensor:
        images = images.clone()
        value = images[6, 0, row, 0]
        images[6, 0, row, 0] = value + (size if value < 0.5 else -size)
        return images

    return change


CASES: list[tuple[str, ThreatModel]] = [
    ("background", ThreatModel("L2", 1.0, 0.1)),
    ("background", ThreatModel("Linf", 1.0, 0.1)),
    ("foreground", ThreatModel("L2", 0.1, 1.0)),
    ("foreground", ThreatModel("Linf", 0.1, 1.0)),
    ("image", ThreatModel("L2", 0.1)),
    ("image", ThreatModel("Linf", 0.1)),
]


@pytest.mark.parametrize(("region", "threat"), CASES)
def test_one_image_that_overspends_in_one_region_is_caught(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch, region: str, threat: ThreatModel
) -> None:
    subject = make_subject()
    subject.foreground[6] = region == "foreground"
    monkeypatch.setattr(scoring, "pgd", handing_in(one_pixel(0, 0.1)))
    attack_images(subject, threat, 0.0, SETTINGS)
    monkeypatch.setattr(scoring, "pgd", handing_in(one_pixel(0, 0.1002)))
    with pytest.raises(
        BrokenThreatModelError, match=rf"^{region} of test image 6: {threat.norm} norm 0\.1002"
    ):
        attack_images(subject, threat, 0.0, SETTINGS)


def test_a_region_without_a_budget_must_stay_as_it_is(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = make_subject()
    subject.foreground[6] = True
    monkeypatch.setattr(scoring, "pgd", handing_in(one_pixel(0, 1e-4)))
    with pytest.raises(BrokenThreatModelError, match="^foreground of test image 6"):
        attack_images(subject, ThreatModel("L2", 0.0, 1.0), 0.0, SETTINGS)


def set_pixel(value: float) -> Callable[[Tensor], Tensor]:
    def change(images: Tensor) -> Tensor:
        images = images.clone()
        images[3, 1, 2, 2] = value
        return images

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_pixel(1.0001), r"^pixels: found 0 to 1\.0001, expected 0 to 1"),
        (set_pixel(-1e-6), "^pixels: found -1e-06"),
        (set_pixel(float("nan")), "^pixels: found nan"),
        (lambda images: images[:1], "^examples: found"),
        (lambda images: images.double(), "^examples: found torch.float64"),
    ],
)
def test_broken_pixels_are_caught(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch, change: Any, message: str
) -> None:
    monkeypatch.setattr(scoring, "pgd", handing_in(change))
    with pytest.raises(BrokenThreatModelError, match=message):
        attack_images(make_subject(), ThreatModel("L2", 99.0, 99.0), 0.0, SETTINGS)


def test_an_attack_that_works_in_place_does_not_hide_what_it_spent(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "pgd", handing_in(lambda images: images.mul_(0.5)))
    with pytest.raises(BrokenThreatModelError):
        attack_images(make_subject(), DUAL, 0.0, SETTINGS)


def test_a_fault_in_the_attacks_own_norm_does_not_reach_the_check(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = make_subject()
    monkeypatch.setattr(L2, "measure", staticmethod(lambda delta: torch.zeros(len(delta))))
    chosen, images, labels, foreground = next(subject.batches(20))
    with pytest.raises(BrokenThreatModelError):
        measure(subject, chosen, images, images * 0.5, labels, foreground, DUAL)


@torch.no_grad()
def test_an_example_holds_a_bound_as_the_attack_itself_counts_it(make_subject: MakeSubject) -> None:
    """A changed image needs a little more than the bound, the image as it is does not."""
    subject = make_subject()
    batch = next(subject.batches(20))
    examples = (batch.images * 0.97).clamp(0, 1)
    changed, same = (
        foreground_score(subject.log_density(x), batch.foreground) for x in (examples, batch.images)
    )
    threat, fooled = ThreatModel("L2", 9.0, 9.0), subject.classes(examples) != batch.labels
    assert fooled[3:].any() and (~fooled).any()

    def correct(adversarial: Tensor, bound: Tensor) -> list[bool]:
        settings = replace(SETTINGS, min_foreground_score=bound.clamp(0, 1))
        found: list[bool] = outcome(subject, batch, adversarial, threat, settings)["correct"][3:].tolist()
        return found

    assert correct(examples, changed - 2e-5) == (~fooled)[3:].tolist()
    assert all(correct(examples, changed - 2e-6))
    assert correct(batch.images, same) == [index % 5 != 0 for index in range(3, 20)]


def test_a_bound_of_0_is_none(make_subject: MakeSubject) -> None:
    def elsewhere(images: Tensor) -> Tensor:
        """So little of the density lies on any foreground that rounding alone might miss a bound."""
        density = (-30 - images.mean(dim=1)).clone()
        density[:, 0, 0] = 0
        return density - density.flatten(1).logsumexp(dim=1).view(-1, 1, 1)

    subject = make_subject()
    foreground = subject.foreground.copy()
    foreground[..., 0, 0] = False
    subject = replace(subject, saliency=elsewhere, foreground=foreground)
    plain = attack_images(subject, DUAL, 0.0, SETTINGS)
    bounded = attack_images(subject, DUAL, 0.0, replace(SETTINGS, min_foreground_score=0))
    assert not plain["correct"].all() and plain["correct"].equals(bounded["correct"])


def test_no_check_is_an_assertion_that_python_may_leave_out() -> None:
    source = Path(scoring.__file__).read_text()
    lines = [line.strip() for line in source.splitlines() if line.strip().startswith("assert ")]
    assert lines == ["assert radius is not None"]  # for the type checker alone


def test_a_classifier_in_train_mode_is_no_subject(make_subject: MakeSubject) -> None:
    subject = make_subject()
    subject.model.append(nn.Dropout(0.5))
    with pytest.raises(UserError, match="^model: found Dropout '6' in train mode"):
        replace(subject)


def test_a_classifier_may_change_what_it_is_shown(make_subject: MakeSubject) -> None:
    subject = make_subject()

    class Dimming(nn.Module):
        def forward(self, images: Tensor) -> object:
            return {"logits": subject.model(images.sub_(0.1))}

    threat, batch = ThreatModel("L2", 0.1), next(subject.batches(20))
    before = batch[1].clone()
    _, table = attack_batch(replace(subject, model=Dimming().eval()), batch, threat, 0.0, SETTINGS)
    assert torch.equal(batch[1], before) and table["foreground_norm"].max() <= 0.1 * (1 + 1e-4)
