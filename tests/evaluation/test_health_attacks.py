"""The attacks of the health checks: what they are asked for, and what is said of their examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dualperturb.core.images import ImageSet
from dualperturb.core.result import AttackResult
from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation.health import attacks as health_attacks
from dualperturb.evaluation.health.attacks import NOISE_DRAWS, iterated, judged, noise, unbounded
from dualperturb.evaluation.measuring.scoring import AttackSettings
from dualperturb.evaluation.measuring.subject import Batch, Subject

COUNT, SIDE = 4, 6
SETTINGS = AttackSettings(
    steps=7, step_size=0.3, restarts=2, batch_size=COUNT, seed=9, loss="dlr", precision="bf16"
)


class Brightness(nn.Module):
    """Two classes, of which the first is that of all but bright images. Keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.shown.append(images.detach())
        score = images.mean((1, 2, 3)) - 0.9
        return torch.stack([-score, score], dim=1)


@pytest.fixture
def subject() -> Subject:
    """Grey images of the first class; the upper half is their foreground."""
    foreground = np.zeros((COUNT, 1, SIDE, SIDE), dtype=bool)
    foreground[..., : SIDE // 2, :] = True
    pixels = np.full((COUNT, 3, SIDE, SIDE), 102, dtype=np.uint8)
    data = ImageSet(pixels, np.zeros(COUNT, dtype=np.int64), ("grey", "bright"), foreground)
    return Subject(Brightness(), data, foreground, np.arange(COUNT)[::-1].copy(), flat, torch.device("cpu"))


def flat(images: Tensor) -> Tensor:
    return torch.full((len(images), SIDE, SIDE), -2 * float(np.log(SIDE)))


def test_every_setting_reaches_the_attack(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def watched(model: object, images: Tensor, labels: Tensor, ball: object, **given: Any) -> AttackResult:
        asked.update(given)
        return AttackResult(images, labels.bool(), {})

    monkeypatch.setattr(health_attacks, "pgd", watched)
    threat = ThreatModel("L2", 0.3)
    judged(subject, threat, iterated(subject, threat, SETTINGS), SETTINGS.batch_size)
    assert asked == {
        **{"steps": 7, "step_size": 0.3, "restarts": 2, "seed": 9, "loss": "dlr", "precision": "bf16"},
        "indices": [3, 2, 1, 0],
    }


@pytest.mark.parametrize(
    ("threat", "inside", "outside", "spent"),
    [
        pytest.param(ThreatModel("L2", 0.4, 2.0), 0.2, 1.6, 0.8, id="of the background's, which is more"),
        pytest.param(ThreatModel("L2", 0.4, 2.0), 0.3, 0.5, 0.75, id="of the foreground's, which is more"),
        pytest.param(ThreatModel("L2", 0.0, 2.0), 0.0, 0.5, 0.25, id="of the background's, the only one"),
        pytest.param(ThreatModel("L2", 1.0), 0.3, 0.4, 0.5, id="of the image's, both regions together"),
        pytest.param(ThreatModel("Linf", 0.1), 0.03, 0.04, 0.4, id="of the image's, the largest change"),
    ],
)
def test_the_share_of_a_radius_that_was_spent(
    subject: Subject, threat: ThreatModel, inside: float, outside: float, spent: float
) -> None:
    """The worst image's, wherever it is: the one named 2 spends as given, and the others half as much."""

    def attack(batch: Batch) -> Tensor:
        chosen, images, _, foreground = batch
        values = 3 * SIDE * SIDE / 2 if threat.norm == "L2" else 1  # so many have to share a norm
        change = torch.where(foreground, inside, outside) / values**0.5
        half = torch.from_numpy(np.where(chosen == 2, 1.0, 0.5)).float().view(-1, 1, 1, 1)
        return images + change * half

    for size in (1, COUNT):
        outcome = judged(subject, threat, attack, size)
        assert outcome.spent == pytest.approx(spent, rel=1e-4) and outcome.fault is None
        assert outcome.correct.all()


def test_noise_lies_inside_the_ball_and_on_its_surface(subject: Subject) -> None:
    outcome = noise(subject, ThreatModel("L2", 0.2, 0.6), SETTINGS)
    model = subject.model
    assert isinstance(model, Brightness) and len(model.shown) == 2 * NOISE_DRAWS
    deltas = torch.stack(model.shown) - 0.4
    foreground = torch.from_numpy(subject.foreground[:1])
    for region, radius in ((foreground, 0.2), (~foreground, 0.6)):
        lengths = (deltas * region).flatten(2).norm(dim=2)
        assert (lengths[::2] < radius * 0.9999).all(), "inside"
        torch.testing.assert_close(lengths[1::2], torch.full((NOISE_DRAWS, COUNT), radius), rtol=1e-4, atol=0)
    directions = torch.nn.functional.normalize(deltas.flatten(0, 1).flatten(1), dim=1)
    assert ((directions @ directions.T).abs() - torch.eye(len(directions))).max() < 0.6, "all differ"
    assert outcome.spent == pytest.approx(1.0, rel=1e-4) and outcome.correct.all() and outcome.fault is None


def test_an_image_that_falls_to_one_draw_has_fallen(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each image to another draw, but for the last, which stands. What was spent is the most of any draw."""
    draws = iter(range(2 * NOISE_DRAWS))

    def fooled_in_turn(_: Subject, threat: object, attack: object, size: object) -> health_attacks.Outcome:
        draw = next(draws)
        return health_attacks.Outcome(np.arange(COUNT) != draw % (COUNT - 1), spent=1 / (1 + abs(draw - 4)))

    monkeypatch.setattr(health_attacks, "judged", fooled_in_turn)
    outcome = noise(subject, ThreatModel("L2", 0.2), SETTINGS)
    assert outcome.correct.tolist() == [False, False, False, True] and outcome.spent == 1.0


def test_without_a_bound_what_still_stands_is_tried_with_shorter_steps(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def whitening(model: object, images: Tensor, labels: Tensor, ball: Any, **given: Any) -> AttackResult:
        """It makes image 2 white at first, which fools, and then image 0."""
        asked.append(given | {"radius": ball.radius})
        falls = torch.tensor([name == 4 - 2 * len(asked) for name in given["indices"]]).view(-1, 1, 1, 1)
        return AttackResult(torch.where(falls, 1.0, images), labels.bool(), {})

    monkeypatch.setattr(health_attacks, "pgd", whitening)
    outcome = unbounded(subject, ThreatModel("Linf", 0.1), SETTINGS)
    assert [one["indices"] for one in asked] == [[3, 2, 1, 0], [3, 1, 0]]
    assert [one["step_size"] for one in asked] == [0.1, 0.02]
    assert all((one["steps"], one["restarts"], one["radius"]) == (20, 1, 1.0) for one in asked)
    assert outcome.correct.tolist() == [True, False, True, False] and outcome.spent == pytest.approx(0.6)
