from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from dualperturb.core.images import ImageSet
from dualperturb.core.pgd import pgd
from dualperturb.core.result import AttackResult
from dualperturb.core.threat_model import ThreatModel
from dualperturb.errors import UserError
from dualperturb.evaluation.measuring import scoring
from dualperturb.evaluation.measuring.intervals import wilson
from dualperturb.evaluation.measuring.scoring import AttackSettings, BrokenThreatModelError, attack_images
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.evaluation.transfer import transfer

SETTINGS = AttackSettings(steps=3, step_size=0.5, restarts=1, batch_size=6, seed=0)
DUAL, PGD = ThreatModel("L2", 0.1, 0.4), ThreatModel("L2", 0.3)
MakeSubject = Callable[..., Subject]


class Flipped(nn.Module):
    """The same classifier on mirrored pixels: right where the other may be wrong."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images.flip(3))
        return logits


@pytest.fixture
def subjects(make_subject: MakeSubject) -> dict[str, Subject]:
    one = make_subject()
    return {"at_pgd/L2": one, "clean": replace(one, model=Flipped(one.model).eval())}


def accuracy(table: pd.DataFrame, attack: str, source: str, target: str) -> float:
    rows = table.set_index(["attack", "source", "target"])
    return float(rows.loc[(attack, source, target), "accuracy"])


def test_a_row_for_every_attack_source_and_target(subjects: dict[str, Subject]) -> None:
    table = transfer(subjects, {"pgd": (PGD, 0.0), "dual": (DUAL, 0.0)}, SETTINGS)
    assert list(table.columns) == ["attack", "source", "target", "n", *_accuracies()]
    names = list(subjects)
    assert list(zip(table["attack"], table["source"], table["target"], strict=True)) == [
        (attack, source, target) for attack in ("pgd", "dual") for source in names for target in names
    ]
    assert (table["n"] == 20).all()
    for row in table.to_dict("records"):
        right = round(row["accuracy"] * 20)
        assert (row["accuracy_low"], row["accuracy_high"]) == wilson(right, 20)


def _accuracies() -> list[str]:
    return ["accuracy", "accuracy_low", "accuracy_high"]


@pytest.mark.parametrize(("threat", "weight"), [(PGD, 0.0), (DUAL, 0.0), (DUAL, 5.0)])
def test_the_diagonal_is_the_white_box_attack(
    subjects: dict[str, Subject], threat: ThreatModel, weight: float
) -> None:
    table = transfer(subjects, {"attack": (threat, weight)}, SETTINGS)
    for name, subject in subjects.items():
        white_box = attack_images(subject, threat, weight, SETTINGS)["correct"].mean()
        assert accuracy(table, "attack", name, name) == white_box


def test_other_cells_are_the_targets_answers_to_the_sources_examples(subjects: dict[str, Subject]) -> None:
    (source, made_on), (target, tried_on) = subjects.items()
    images = torch.from_numpy(made_on.data.images).float() / 255
    labels = torch.from_numpy(made_on.data.labels)
    ball = PGD.ball(torch.from_numpy(made_on.foreground))
    examples = pgd(made_on.model, images, labels, ball, steps=3, step_size=0.5).images
    with torch.no_grad():
        expected = (tried_on.model(examples).argmax(1) == labels).float().mean()
    table = transfer(subjects, {"pgd": (PGD, 0.0)}, SETTINGS)
    assert accuracy(table, "pgd", source, target) == pytest.approx(float(expected))
    cells = {accuracy(table, "pgd", one, other) for one in subjects for other in subjects}
    assert len(cells) > 2  # a table of one number would prove nothing


def test_the_batch_size_changes_nothing(subjects: dict[str, Subject]) -> None:
    attacks = {"dual": (DUAL, 0.0)}
    whole = transfer(subjects, attacks, replace(SETTINGS, batch_size=20))
    pd.testing.assert_frame_equal(transfer(subjects, attacks, SETTINGS), whole)


def test_under_a_bound_an_example_that_misses_it_counts_on_no_target(subjects: dict[str, Subject]) -> None:
    """Each holds the bound 0; 1 holds where all is foreground, in one image of 20."""
    attacks = {"pgd": (PGD, 0.0), "dual": (DUAL, 0.0)}
    never, always, plain = (
        transfer(subjects, attacks, replace(SETTINGS, min_foreground_score=bound))
        for bound in (1.0, 0.0, None)
    )
    pd.testing.assert_frame_equal(always, plain)
    dual = plain["attack"] == "dual"
    pd.testing.assert_frame_equal(never[~dual], plain[~dual])
    assert (never.loc[dual, "accuracy"] >= 0.95).all() and (plain.loc[dual, "accuracy"] < 0.9).all()


def test_under_a_bound_targets_count_the_examples_that_hold_it(subjects: dict[str, Subject]) -> None:
    (source, made_on), (target, tried_on) = subjects.items()
    bounded = replace(SETTINGS, min_foreground_score=0.4)
    right, held = 0, 0
    for batch in made_on.batches(SETTINGS.batch_size):
        examples, table = scoring.attack_batch(made_on, batch, DUAL, 0.0, bounded)
        wrong = (tried_on.classes(examples) != batch.labels).numpy()
        right, held = right + int((~(wrong & table["feasible"])).sum()), held + int(table["feasible"].sum())
    assert 0 < held < 20
    table = transfer(subjects, {"dual": (DUAL, 0.0)}, bounded)
    assert accuracy(table, "dual", source, target) == right / 20


def test_without_a_budget_every_row_holds_the_clean_accuracies(subjects: dict[str, Subject]) -> None:
    table = transfer(subjects, {"clean": (ThreatModel("L2", 0.0), 0.0)}, SETTINGS)
    wide = table.pivot(index="source", columns="target", values="accuracy")
    assert (wide.nunique() == 1).all()
    assert wide.loc["clean", "at_pgd/L2"] == 0.8


def test_examples_are_made_once_a_source(
    subjects: dict[str, Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    attacked: list[int] = []

    def counting(model: nn.Module, images: Tensor, *arguments: object, **named: object) -> AttackResult:
        attacked.append(len(images))
        return pgd(model, images, *arguments, **named)

    monkeypatch.setattr(scoring, "pgd", counting)
    transfer(subjects, {"pgd": (PGD, 0.0)}, SETTINGS)
    assert attacked == [6, 6, 6, 2] * 2


def test_examples_outside_the_budget_give_no_table(
    subjects: dict[str, Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    def attack(model: object, images: Tensor, labels: Tensor, *_: object, **__: object) -> AttackResult:
        return AttackResult(images * 0.5, labels > 0, {})

    monkeypatch.setattr(scoring, "pgd", attack)
    with pytest.raises(BrokenThreatModelError):
        transfer(subjects, {"pgd": (PGD, 0.0)}, SETTINGS)


def test_other_images_are_refused(make_subject: MakeSubject) -> None:
    one = make_subject()
    attacks = {"pgd": (PGD, 0.0)}
    with pytest.raises(UserError, match="^transfer: other has other test images than one"):
        transfer({"one": one, "other": make_subject([3, 4])}, attacks, SETTINGS)
    pixels = one.data.images.copy()
    pixels[19] ^= 1
    changed = ImageSet(pixels, one.data.labels, one.data.class_names)
    with pytest.raises(UserError, match="^transfer: the images of other differ from those of one"):
        transfer({"one": one, "other": replace(one, data=changed)}, attacks, SETTINGS)
    relabelled = ImageSet(one.data.images, np.roll(one.data.labels, 1), one.data.class_names)
    with pytest.raises(UserError, match="^transfer: the labels of other"):
        transfer({"one": one, "other": replace(one, data=relabelled)}, attacks, SETTINGS)
    with pytest.raises(UserError, match="^transfer: the masks of other"):
        transfer({"one": one, "other": replace(one, foreground=~one.foreground)}, attacks, SETTINGS)
