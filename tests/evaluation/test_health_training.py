from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from math import comb

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dualperturb.attacks.adversary import PgdAdversary
from dualperturb.core.images import ImageSet
from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation.health.checks import health
from dualperturb.evaluation.health.lines import QUESTIONS
from dualperturb.evaluation.health.training import Trained, too_few, training_line
from dualperturb.evaluation.measuring.scoring import AttackSettings
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.params.training import Augment, Optimiser
from dualperturb.training.loop import TrainingSettings, train

SETTINGS = AttackSettings(steps=3, step_size=0.5, restarts=1, batch_size=60, seed=0)
DUAL = ThreatModel("L2", 0.3, 1.0)
MakeTrained = Callable[[float], Trained]


def image_set(count: int) -> ImageSet:
    """Three classes of 12x12 pixels, told apart by the brightest channel."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 3
    images = random.integers(40, 180, (count, 3, 12, 12))
    images[np.arange(count), labels] += random.integers(30, 70, count)[:, None, None]
    return ImageSet(images.astype(np.uint8), labels.astype(np.int64), ("red", "green", "blue"))


def network(statistics: float) -> nn.Module:
    """statistics: the share of a batch's statistics that an update moves the running ones by."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(
            *(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8, momentum=statistics), nn.ReLU()),
            *(nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16, momentum=statistics), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3)),
        )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> MakeTrained:
    """A function: statistics -> a classifier that real adversarial training made, and what it logged."""
    data = image_set(200)
    foreground = np.zeros((200, 1, 12, 12), dtype=bool)
    foreground[..., 3:9, 3:9] = True

    def make(statistics: float) -> Trained:
        optimiser = Optimiser(
            batch_size=20, learning_rate=0.05, momentum=0.9, weight_decay=0.0, schedule="one_cycle"
        )
        settings = TrainingSettings(optimiser, Augment(pad=1, flip=True), epochs=10, warmup_epochs=0, seed=0)
        adversary = PgdAdversary(DUAL, steps=3, step_size=0.5)
        model, checkpoint = network(statistics), tmp_path_factory.mktemp("training") / "checkpoint"
        history = train(model, data, foreground, adversary, settings, checkpoint, lambda *_: None)
        chosen = data.choose(60, 0)
        device = torch.device("cpu")
        subject = Subject(
            model.requires_grad_(False), data, foreground, chosen, lambda x: x.mean(dim=1), device
        )
        return Trained(subject, adversary, history[-1].accuracy)

    return make


def accuracy(trained: Trained, train_mode: bool) -> float:
    """Under the adversary of the training, all images a batch."""
    subject = replace(trained.subject, indices=np.arange(200))
    (batch,) = subject.batches(200)
    _, images, labels, foreground = batch
    examples = trained.adversary(subject.model, images, labels, foreground, list(range(200)), 1.0)
    with torch.no_grad():
        logits = copy.deepcopy(subject.model).train(train_mode)(examples)
    return float((logits.argmax(dim=1) == labels).float().mean())


def test_a_healthy_classifier_keeps_what_training_logged(trained: MakeTrained) -> None:
    made = trained(0.1)
    line = training_line(made, SETTINGS)
    assert line.passed and line.n == 60 and line.check == "training", line.figures
    assert made.logged > 0.85, "a log that could be broken"
    assert f"logged {100 * made.logged:.1f} % in train mode" in line.figures


def test_statistics_that_lag_behind_are_caught(trained: MakeTrained) -> None:
    made = trained(0.001)
    line = training_line(made, SETTINGS)
    assert made.logged > 0.85 and accuracy(made, train_mode=True) > 0.85, "the weights are good"
    assert accuracy(made, train_mode=False) < 0.65
    assert not line.passed, line.figures


def test_it_is_the_last_line_and_asked_of_adversarial_training_alone(trained: MakeTrained) -> None:
    made = trained(0.1)
    without = health(made.subject, DUAL, SETTINGS)
    table = health(made.subject, DUAL, SETTINGS, training=made)
    assert table["check"].tolist() == [*without["check"], "training"]
    assert "training" not in set(without["check"]) and list(QUESTIONS)[-1] == "training"
    assert table["figures"].iloc[-1] == training_line(made, SETTINGS).figures


def test_the_adversary_gets_images_as_they_are_their_masks_and_the_full_budget(trained: MakeTrained) -> None:
    made, seen = trained(0.1), []

    def watching(
        model: nn.Module, images: Tensor, labels: Tensor, foreground: Tensor, seeds: list[int], share: float
    ) -> Tensor:
        assert not model.training and share == 1.0
        seen.append((images, labels, foreground, seeds))
        return images

    line = training_line(replace(made, adversary=watching), replace(SETTINGS, batch_size=25))
    images, labels, foreground, seeds = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    subject = made.subject
    assert np.array_equal(np.rint(images * 255), subject.data.images[subject.indices])
    assert np.array_equal(labels, subject.data.labels[subject.indices])
    assert np.array_equal(foreground, subject.foreground[subject.indices])
    assert len(set(seeds.tolist())) == 60
    answers = subject.classes(torch.from_numpy(images)).numpy()
    assert line.figures.startswith(f"{100 * (answers == labels).mean():.1f} % of training images stand")


def test_the_line_does_not_depend_on_the_batch_size(trained: MakeTrained) -> None:
    made = trained(0.1)
    assert training_line(made, SETTINGS) == training_line(made, replace(SETTINGS, batch_size=7))


def warns(count: int, logged: float, kept: float) -> float:
    """Probability of a warning where `kept` is the true accuracy."""
    return sum(
        comb(count, k) * kept**k * (1 - kept) ** (count - k)
        for k in range(count + 1)
        if too_few(logged, k, count)
    )


@pytest.mark.parametrize(
    ("count", "by_chance", "caught"), [(20, 0.014, 0.89), (60, 0.005, 0.99), (100, 0.002, 0.99)]
)
def test_it_warns_seldom_by_chance_and_mostly_where_much_is_lost(
    count: int, by_chance: float, caught: float
) -> None:
    assert 0 < max(warns(count, share / 100, share / 100) for share in range(1, 101)) <= by_chance
    assert warns(count, 0.62, 0.25) > caught


def test_more_than_was_logged_is_no_fault() -> None:
    assert not too_few(0.3, 60, 60) and not too_few(0.0, 0, 60) and not too_few(1.0, 60, 60)
