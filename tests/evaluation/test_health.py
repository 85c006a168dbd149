from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualperturb.core.images import ImageSet
from dualperturb.core.result import AttackResult
from dualperturb.core.threat_model import ThreatModel
from dualperturb.errors import UserError
from dualperturb.evaluation.health import attacks as health_attacks
from dualperturb.evaluation.health.attacks import iterated, judged, one_more_restart, standing, whole_cube
from dualperturb.evaluation.health.checks import health
from dualperturb.evaluation.measuring.scoring import AttackSettings, attack_images
from dualperturb.evaluation.measuring.subject import Subject
from tests.evaluation.health_inputs import swept, transfers
from tests.evaluation.masking import MASKS

SETTINGS = AttackSettings(steps=15, step_size=0.25, restarts=1, batch_size=60, seed=0)
# Budgets at which the attack fools some images and not others.
PLAIN, DUAL, CUBE = ThreatModel("L2", 0.8), ThreatModel("L2", 0.3, 1.0), ThreatModel("Linf", 0.05)
KEYS = [
    *("unbounded", "monotone", "steps", "restarts", "one_step", "noise", "transfer"),
    *("gradients", "slope", "finite", "repeatable", "logits", "budget"),
]


def image_set(count: int, seed: int) -> ImageSet:
    """Three classes of 12x12 pixels, told apart by the brightest channel, in some images by little."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = random.integers(40, 180, (count, 3, 12, 12))
    images[np.arange(count), labels] += random.integers(12, 50, count)[:, None, None]
    return ImageSet(images.astype(np.uint8), labels.astype(np.int64), ("red", "green", "blue"))


def no_saliency(images: Tensor) -> Tensor:
    raise AssertionError("the saliency model was asked")


@pytest.fixture(scope="module")
def subject() -> Subject:
    """A small network, trained without any defence, and 60 test images."""
    data = image_set(200, 0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = nn.Sequential(
            *(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3)),
        )
    images, labels = torch.from_numpy(data.images).float() / 255, torch.from_numpy(data.labels)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(100):
        optimiser.zero_grad()
        F.cross_entropy(model(images), labels, label_smoothing=0.1).backward()
        optimiser.step()
    foreground = np.zeros((90, 1, 12, 12), dtype=bool)
    foreground[..., 3:9, 3:9] = True
    device = torch.device("cpu")
    test = image_set(90, 1)
    frozen = model.eval().requires_grad_(False)
    return Subject(frozen, test, foreground, np.arange(90)[::-1][:60].copy(), no_saliency, device)


def with_saliency(subject: Subject) -> Subject:
    return replace(subject, saliency=lambda images: images.mean(dim=1))


def lines(table: pd.DataFrame) -> dict[str, pd.Series]:
    return {row["check"]: row for _, row in table.iterrows()}


def warned(table: pd.DataFrame) -> set[str]:
    return set(table.loc[~table["passed"], "check"])


@pytest.mark.parametrize("threat", [PLAIN, DUAL, CUBE])
def test_a_plain_classifier_passes_every_line(subject: Subject, threat: ThreatModel) -> None:
    watched = with_saliency(subject)
    accuracies = {
        f"b{eps}": judged(watched, one, iterated(watched, one, SETTINGS), 60).correct.mean()
        for eps, one in ((size, ThreatModel("L2", size)) for size in (0.1, 0.4, 0.8))
    }
    rows = swept(n=60, **accuracies)
    table = health(subject, threat, SETTINGS, rows, transfers(own=0.1, other=0.9))
    assert table.columns.tolist() == ["check", "question", "passed", "figures", "n"]
    assert table["check"].tolist() == KEYS and table["n"].tolist() == [60] * len(KEYS)
    assert warned(table) == set(), table[~table["passed"]]["figures"].tolist()
    base = judged(watched, threat, iterated(watched, threat, SETTINGS), 60).correct
    assert 0.1 < base.mean() < 0.9, "a budget at which these lines say something"
    assert lines(table)["unbounded"]["figures"].endswith(
        f"{100 * base.mean():.1f} % within the threat model."
    )


@pytest.mark.parametrize(
    ("kind", "caught_by"),
    [
        ("saturated", {"unbounded", "gradients", "slope"}),
        ("quantised", {"unbounded", "gradients", "slope"}),
        ("shattered", {"slope"}),
        ("stochastic", {"unbounded", "slope", "repeatable"}),
        ("probabilities", {"logits"}),
    ],
)
@pytest.mark.parametrize("threat", [PLAIN, CUBE])
def test_a_defence_that_masks_gradients_is_caught(
    subject: Subject, kind: str, caught_by: set[str], threat: ThreatModel
) -> None:
    masked = replace(subject, model=MASKS[kind](subject.model))
    assert caught_by <= warned(health(masked, threat, SETTINGS))


@pytest.mark.parametrize("kind", ["saturated", "quantised", "shattered", "stochastic"])
def test_a_mask_makes_the_attack_look_weak_and_leaves_the_answers(subject: Subject, kind: str) -> None:
    masked = replace(subject, model=MASKS[kind](subject.model))
    clean, attacked = (
        [attack_images(with_saliency(one), threat, 0.0, SETTINGS)["correct"] for one in (subject, masked)]
        for threat in (ThreatModel("L2", 0.0), PLAIN)
    )
    assert (clean[0] == clean[1]).mean() > 0.95
    assert attacked[1].mean() > attacked[0].mean() + 0.3


def test_a_transfer_from_the_unmasked_classifier_tells_on_the_mask(subject: Subject) -> None:
    table = health(subject, PLAIN, SETTINGS, transfer=transfers(own=0.9, plain=0.2, other=0.95))
    line = lines(table)["transfer"]
    assert not line["passed"] and "90.0 %" in line["figures"] and "20.0 %" in line["figures"]
    assert line["figures"].endswith("(from plain).")


def test_a_saturated_softmax_is_told_from_a_classifier_without_slope(subject: Subject) -> None:
    figures = {
        kind: lines(health(replace(subject, model=MASKS[kind](subject.model)), PLAIN, SETTINGS))["gradients"]
        for kind in ("saturated", "quantised")
    }
    # One or two points may lie so near a boundary that even these logits leave a gradient.
    assert figures["saturated"]["figures"].endswith("(softmax saturated in float32), none at 0.")
    assert "gradient at 0 (softmax saturated in float32), none at 120." in figures["quantised"]["figures"]
    assert figures["quantised"]["figures"].startswith(
        "Norm below 1e-30 at 60 of 60 images and 60 of 60 random starts, exactly 0 at 120"
    )


def test_values_that_are_not_finite_are_caught(subject: Subject) -> None:
    class Broken(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            logits = subject.model(images)
            return logits.where(images[:, :1, 0, 0] < 0.5, torch.nan)

    table = health(replace(subject, model=Broken()), PLAIN, SETTINGS)
    bright = int((subject.data.images[subject.indices, 0, 0, 0] > 127).sum())
    assert "finite" in warned(table) and "budget" not in warned(table)
    assert bright <= int(lines(table)["finite"]["figures"].split()[3]) <= bright + 60


def test_an_attack_that_gives_up_early_is_caught(subject: Subject) -> None:
    table = health(subject, PLAIN, replace(SETTINGS, steps=2, step_size=0.15))
    assert {"steps", "one_step"} <= warned(table)


def test_an_attack_that_depends_on_its_start_is_caught(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if every start but the next one lay on a plateau, however many steps are taken.
    monkeypatch.setattr(health_attacks, "pgd", lambda model, images, *_, **__: result(images))
    found = warned(health(subject, PLAIN, SETTINGS))
    assert "restarts" in found and "steps" not in found


def result(images: Tensor) -> AttackResult:
    return AttackResult(images, torch.ones(len(images), dtype=torch.bool), {})


def test_an_attack_weaker_than_noise_is_caught(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = ThreatModel("Linf", 0.9)
    assert "noise" not in warned(health(subject, wide, SETTINGS))
    monkeypatch.setattr(health_attacks, "pgd", lambda model, images, *_, **__: result(images))
    assert {"noise", "one_step", "unbounded"} <= warned(health(subject, wide, SETTINGS))


@pytest.mark.parametrize("factor", [1.01, float("nan")])
def test_an_attack_that_leaves_its_budget_is_caught_and_gains_nothing(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    def overspending(
        model: object, images: Tensor, labels: Tensor, ball: object, **_: object
    ) -> AttackResult:
        return result(images + factor * ball.project(0.5 - images))

    monkeypatch.setattr(health_attacks, "pgd", overspending)
    table = health(subject, PLAIN, SETTINGS)
    line = lines(table)["budget"]
    assert not line["passed"] and line["figures"].startswith("Broken: ")
    clean = attack_images(with_saliency(subject), ThreatModel("L2", 0.0), 0.0, SETTINGS)
    assert f"{100 * clean['correct'].mean():.1f} % within" in lines(table)["unbounded"]["figures"]


@pytest.mark.parametrize("loss", ["cross_entropy", "dlr"])
def test_what_stands_after_more_effort_is_what_pgd_itself_leaves(subject: Subject, loss: str) -> None:
    weak = replace(SETTINGS, steps=2, step_size=0.3, loss=loss)
    subject = with_saliency(subject)
    base = judged(subject, PLAIN, iterated(subject, PLAIN, weak), 60)
    left = standing(subject, base)
    more = judged(left, PLAIN, one_more_restart(left, PLAIN, weak), 60)
    both = attack_images(subject, PLAIN, 0.0, replace(weak, restarts=2))
    assert both.loc[both["correct"], "index"].tolist() == left.indices[more.correct].tolist()
    assert base.spent == pytest.approx(1.0, abs=1e-5) and base.fault is None


def test_the_cube_holds_every_image(subject: Subject) -> None:
    assert whole_cube(subject, "Linf") == ThreatModel("Linf", 1.0)
    assert whole_cube(subject, "L2") == ThreatModel("L2", (3 * 12 * 12) ** 0.5)


def test_the_table_repeats_and_does_not_depend_on_the_batch_size(subject: Subject) -> None:
    first = health(subject, DUAL, SETTINGS)
    pd.testing.assert_frame_equal(health(subject, DUAL, SETTINGS), first)
    parts = health(subject, DUAL, replace(SETTINGS, batch_size=25))
    assert parts["passed"].tolist() == first["passed"].tolist()
    for check in ("unbounded", "steps", "one_step", "noise"):
        assert lines(parts)[check]["figures"] == lines(first)[check]["figures"]


def test_a_threat_model_without_a_budget_is_refused(subject: Subject) -> None:
    for threat in (ThreatModel("L2", 0.0), ThreatModel("L2", 0.0, 0.0)):
        with pytest.raises(UserError, match="^threat model: both radii are 0"):
            health(subject, threat, SETTINGS)
