"""The attacks that come from other libraries: what they hand back is measured here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dualperturb.core.budgets import NORMS
from dualperturb.core.threat_model import ThreatModel
from dualperturb.errors import UserError
from dualperturb.evaluation.libraries import carlini_wagner_norms, standard_auto_attack
from dualperturb.evaluation.measuring.scoring import AttackSettings, BrokenThreatModelError, attack_images
from dualperturb.evaluation.measuring.subject import Subject

MakeSubject = Callable[..., Subject]
SETTINGS = AttackSettings(steps=20, step_size=0.25, restarts=1, batch_size=20, seed=0)


def clean(subject: Subject) -> np.ndarray:
    """Which images are classified rightly as they are."""
    _, images, labels, _ = next(subject.batches(20))
    with torch.no_grad():
        right: np.ndarray = (subject.model(images).argmax(dim=1) == labels).numpy()
    return right


@pytest.mark.parametrize("norm", [name for name, row in NORMS.items() if row.in_autoattack])
def test_auto_attack_is_as_strong_as_pgd_and_leaves_the_random_numbers_alone(
    make_subject: MakeSubject, norm: str
) -> None:
    pytest.importorskip("pyautoattack")
    subject = make_subject()
    threat = ThreatModel(norm, {"L2": 0.25, "Linf": 0.02, "L1": 3.0}[norm])
    state = torch.get_rng_state()
    right = standard_auto_attack(subject, threat, seed=0, square_queries=20)
    assert torch.equal(torch.get_rng_state(), state)
    by_pgd = attack_images(subject, threat, 0.0, SETTINGS)["correct"].to_numpy()
    assert right.sum() <= by_pgd.sum() < clean(subject).sum()
    assert not right[~clean(subject)].any()
    assert np.array_equal(standard_auto_attack(subject, threat, 0, 20), right)


@pytest.mark.parametrize(
    ("norm", "change"),
    [("L2", lambda images: (images + 0.1).clamp(0, 1)), ("Linf", lambda images: images + 2)],
)
def test_auto_attacks_examples_are_measured_anew(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch, norm: str, change: Callable[[Tensor], Tensor]
) -> None:
    pyautoattack = pytest.importorskip("pyautoattack")

    def outside(_: object, images: Tensor, labels: Tensor, **__: object) -> tuple[Tensor, Tensor]:
        return change(images), labels

    monkeypatch.setattr(pyautoattack.AutoAttack, "run_standard_evaluation", outside)
    with pytest.raises(BrokenThreatModelError, match="^(image of test image|pixels: found)"):
        standard_auto_attack(make_subject(), ThreatModel(norm, 0.1), seed=0)


def test_auto_attack_is_asked_for_what_was_chosen(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subject of three classes has two others, which the targeted loss cannot do with."""
    pyautoattack = pytest.importorskip("pyautoattack")
    asked: list[object] = []

    def watched(self: Any, images: Tensor, labels: Tensor, **__: object) -> tuple[Tensor, Tensor]:
        targets = self.apgd_targeted.n_target_classes, self.fab.n_target_classes
        asked.append((self.norm, self.epsilon, self.seed, self.square.n_queries, *targets))
        asked.append(list(self.attacks_to_run))
        return images, labels

    monkeypatch.setattr(pyautoattack.AutoAttack, "run_standard_evaluation", watched)
    right = standard_auto_attack(make_subject([7, 3, 5]), ThreatModel("Linf", 0.02), 4, square_queries=17)
    assert asked == [("Linf", 0.02, 4, 17, 2, 2), ["apgd-ce", "fab-t", "square"]]
    assert right.tolist() == [True, True, False], "the images as they are"


def test_auto_attack_knows_one_region() -> None:
    with pytest.raises(UserError, match="found a threat model of two regions; accepted: one"):
        standard_auto_attack(None, ThreatModel("L2", 1.0, 2.0), 0)  # type: ignore[arg-type]


def test_carlini_and_wagner_find_the_distance_to_the_boundary(make_subject: MakeSubject) -> None:
    """A linear classifier's is known: the margin over the length of the difference of the weights."""
    pytest.importorskip("foolbox")
    subject = make_subject()
    weight = torch.linspace(-1, 1.2, 192)
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
    with torch.no_grad():
        linear[1].weight.copy_(torch.stack([weight, -weight]))
        linear[1].bias.copy_(torch.tensor([-weight.sum() / 2, weight.sum() / 2]))
        logits = linear(torch.from_numpy(subject.data.images).float() / 255)
    labels = logits.argmax(dim=1).numpy()
    labels[0] = 1 - labels[0]
    data = subject.data.__class__(subject.data.images, labels, ("a", "b"), subject.data.foreground)
    own = Subject(linear.eval(), data, subject.foreground, subject.indices, subject.saliency, subject.device)
    norms = carlini_wagner_norms(own, batch_size=7, steps=200, searches=5)
    distance = (logits[:, 0] - logits[:, 1]).abs().numpy() / (2 * float(weight.norm()))
    assert norms[0] == 0
    assert (norms[1:] >= distance[1:] - 1e-4).all(), "nearer than the boundary"
    assert (norms[1:] <= 1.2 * distance[1:] + 0.02).all(), "the smallest perturbation is missed"


def test_carlini_and_wagner_search_as_often_as_asked(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacks = pytest.importorskip("foolbox").attacks
    built: list[Any] = []

    class Noted(attacks.L2CarliniWagnerAttack):  # type: ignore[misc, name-defined]
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            built.append(self)

    monkeypatch.setattr(attacks, "L2CarliniWagnerAttack", Noted)
    carlini_wagner_norms(make_subject([0, 1]), batch_size=2, steps=3, searches=2)
    assert [(one.steps, one.binary_search_steps) for one in built] == [(3, 2)]


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("pyautoattack", lambda subject: standard_auto_attack(subject, ThreatModel("L2", 1.0), 0)),
        ("foolbox", lambda subject: carlini_wagner_norms(subject, 5, 5, 5)),
    ],
)
def test_a_missing_package_is_one_line(
    make_subject: MakeSubject,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    call: Callable[[Subject], object],
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"the package {package} is missing: pip install -e '\.\[strong\]'"):
        call(make_subject())
