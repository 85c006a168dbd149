"""Certificates and predictions against a classifier whose smoothed form is known in closed form.

A linear classifier of two classes has the same decisions when smoothed: its probability of the right class is
Phi(distance / sigma), and the true radius is the distance to the hyperplane.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binom, norm
from torch import Tensor, nn

from dualperturb.attacks.smoothed import GaussianNoise
from dualperturb.core.images import ImageSet
from dualperturb.core.threat_model import ThreatModel
from dualperturb.errors import UserError
from dualperturb.evaluation.measuring.scoring import AttackSettings
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.evaluation.smoothing import (
    ABSTAINED,
    Sampling,
    attack_smoothed,
    certify_images,
    predict,
    predict_images,
)
from dualperturb.saliency.center import CenterSaliency

MakeSubject = Callable[..., Subject]
SAMPLING = Sampling(GaussianNoise(0.25), n=200, alpha=0.001, batch_size=64, seed=0)
ATTACK = AttackSettings(steps=10, step_size=0.3, restarts=1, batch_size=50, seed=0)
NAMES = ["index", "label", "predicted", "correct", "votes"]


class Linear(nn.Module):
    """Class 1 where w.x + b > 0, else class 0; keeps what it was given."""

    def __init__(self, weight: Tensor, bias: float) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.detach().clone())
        value = images.flatten(1) @ self.weight.to(images.dtype) + self.bias
        return torch.stack([torch.zeros_like(value), value], dim=1)


def linear_subject(count: int = 40, spread: float = 1.0) -> tuple[Subject, np.ndarray]:
    """Images of 4x4 pixels in mid-range, and the distance of each to the hyperplane, in pixels of [0, 1].

    The distances are spread evenly from almost 0 to `spread`, on both sides; every image has its right label.
    """
    direction = torch.randn(48, generator=torch.Generator().manual_seed(2)).double()
    direction /= direction.norm()
    wanted = torch.linspace(-spread, spread, count).double()
    noise = torch.rand(count, 48, generator=torch.Generator().manual_seed(3)).double() * 0.1 - 0.05
    noise -= (noise @ direction).unsqueeze(1) * direction
    pixels = (0.5 + noise + wanted.unsqueeze(1) * direction).clamp(0, 1)
    images = (pixels * 255).round().byte().view(count, 3, 4, 4).numpy()
    margins = images.reshape(count, -1) / 255 @ direction.numpy() - 0.5 * float(direction.sum())
    model = Linear(3 * direction.float(), -1.5 * float(direction.sum())).eval()
    data = ImageSet(images, (margins > 0).astype(np.int64), ("below", "above"))
    foreground = np.zeros((count, 1, 4, 4), dtype=bool)
    foreground[..., :2, :] = True
    subject = Subject(model, data, foreground, np.arange(count), CenterSaliency(), torch.device("cpu"))
    return subject, np.abs(margins)


def test_with_many_copies_the_radius_comes_close_to_the_distance_from_below() -> None:
    subject, distance = linear_subject(12, spread=0.5)  # up to two standard deviations
    table = certify_images(subject, replace(SAMPLING, n=20_000, batch_size=5_000), n0=100)
    assert table["correct"].all()
    assert (table["radius"] < distance).all()
    assert (table["radius"] > distance - 0.05 * 0.25 - 0.05 * distance).all()
    shares = table["votes"] / 20_000
    assert np.allclose(shares, norm.cdf(distance / 0.25), atol=4 * 0.5 / math.sqrt(20_000))
    assert np.allclose(table["radius"], 0.25 * norm.ppf(table["lower_bound"]))


def test_the_radius_exceeds_the_distance_no_more_often_than_alpha_allows() -> None:
    subject, distance = linear_subject(2, spread=0.2)
    sampling, runs = replace(SAMPLING, n=150, alpha=0.1, batch_size=200), 250
    too_far = [
        (certify_images(subject, replace(sampling, seed=seed), n0=50)["radius"] > distance).to_numpy()
        for seed in range(runs)
    ]
    broken = int(np.sum(too_far))
    assert broken <= binom.ppf(0.999, 2 * runs, 0.1)
    assert broken >= 0.05 * 2 * runs  # a bound that is far below alpha would waste its copies


def test_no_radius_exceeds_what_the_copies_can_show() -> None:
    subject, _ = linear_subject(4, spread=3.0)
    table = certify_images(subject, SAMPLING, n0=10)
    assert np.allclose(table["radius"].iloc[[0, -1]], 0.25 * norm.ppf(0.001 ** (1 / 200)))
    assert table["votes"].max() == 200


def test_on_the_boundary_it_abstains_and_counts_as_wrong() -> None:
    subject, _ = linear_subject(3, spread=0.5)
    on_it = replace(subject, indices=np.array([1]))
    assert abs(float(subject.data.images[1].mean()) - 127.5) < 5
    for table in (certify_images(on_it, SAMPLING, n0=10), predict_images(on_it, SAMPLING)):
        assert table["predicted"].tolist() == [ABSTAINED] and table["correct"].tolist() == [False]
    assert certify_images(on_it, SAMPLING, n0=10)["radius"].tolist() == [0.0]
    table = attack_smoothed(on_it, ThreatModel("L2", 0.0), 0.0, ATTACK, sampling=SAMPLING, draws=2)
    assert table["predicted"].tolist() == [ABSTAINED] and table["correct"].tolist() == [False]


def test_predictions_away_from_the_boundary_are_those_of_the_linear_classifier() -> None:
    subject, distance = linear_subject()
    table = predict_images(subject, SAMPLING)
    assert list(table.columns) == [*NAMES, "runner_up_votes"]
    assert table["correct"][distance > 0.15].all()
    assert (table["votes"] + table["runner_up_votes"] == SAMPLING.n).all()
    wrong = replace(subject, data=replace(subject.data, labels=1 - subject.data.labels))
    assert not predict_images(wrong, SAMPLING)["correct"].any()


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_the_outcome_does_not_depend_on_batches_or_on_the_other_images(
    make_subject: MakeSubject, batch_size: int
) -> None:
    sampling = replace(SAMPLING, n=60)
    other = replace(sampling, batch_size=batch_size)
    attack = replace(ATTACK, steps=3)
    threat = ThreatModel("L2", 0.1, 0.3)
    whole, some = make_subject(), make_subject([17, 2, 4])
    pd.testing.assert_frame_equal(
        certify_images(some, other, n0=11),
        certify_images(whole, sampling, n0=11).loc[[17, 2, 4]].reset_index(drop=True),
    )
    pd.testing.assert_frame_equal(
        predict_images(some, other), predict_images(whole, sampling).loc[[17, 2, 4]].reset_index(drop=True)
    )
    pd.testing.assert_frame_equal(
        attack_smoothed(
            some, threat, 0.0, replace(attack, batch_size=min(batch_size, 2)), sampling=other, draws=3
        ),
        attack_smoothed(whole, threat, 0.0, attack, sampling=sampling, draws=3)
        .loc[[17, 2, 4]]
        .reset_index(drop=True),
        rtol=1e-3,
    )


def test_the_seed_changes_the_votes_and_repeats_them() -> None:
    subject, _ = linear_subject(10, spread=0.2)
    first, again = predict_images(subject, SAMPLING), predict_images(subject, SAMPLING)
    pd.testing.assert_frame_equal(first, again)
    assert (predict_images(subject, replace(SAMPLING, seed=1))["votes"] != first["votes"]).any()


def test_images_do_not_share_their_noise() -> None:
    subject, _ = linear_subject(6, spread=0.2)
    alike = replace(subject.data, images=np.repeat(subject.data.images[:1], 6, axis=0))
    assert predict_images(replace(subject, data=alike), SAMPLING)["votes"].nunique() > 2


class Scripted(nn.Module):
    """Gives the copies that it meets the classes of a list, one after the other."""

    def __init__(self, classes: list[int]) -> None:
        super().__init__()
        self.classes = iter(classes)

    def forward(self, images: Tensor) -> Tensor:
        return torch.eye(3)[[next(self.classes) for _ in images]]


@pytest.mark.parametrize(
    ("votes", "predicted"), [(0, ABSTAINED), (120, ABSTAINED), (140, 1), (200, 1)]
)  # of 200: bounds 0, 0.49, 0.59, 0.97
def test_the_first_copies_choose_the_class_and_the_others_bound_it(votes: int, predicted: int) -> None:
    subject, _ = linear_subject(1)
    model = Scripted([1, 1, 0, 1, 2] + [0] * (200 - votes) + [1] * votes).eval()
    table = certify_images(replace(subject, model=model), SAMPLING, n0=5)
    assert table["votes"].tolist() == [votes] and table["predicted"].tolist() == [predicted]
    assert (table["radius"].iloc[0] > 0) == (predicted == 1)


def test_an_attack_breaks_just_the_images_nearer_than_its_budget() -> None:
    subject, distance = linear_subject()
    budget, unsure = 0.4, 0.1
    table = attack_smoothed(subject, ThreatModel("L2", budget), 0.0, ATTACK, sampling=SAMPLING, draws=4)
    assert table["correct"][distance > budget + unsure].all()
    assert not table["correct"][distance < budget - unsure].any()
    opposite = table["predicted"] == 1 - table["label"]
    assert opposite[distance < budget - unsure].all()


@pytest.mark.parametrize("norm_name", ["L2", "Linf"])
def test_a_dual_attack_spends_both_budgets_and_keeps_the_columns(norm_name: str) -> None:
    subject, _ = linear_subject(6)
    threat = ThreatModel(norm_name, 0.02, 0.2)
    table = attack_smoothed(subject, threat, 0.0, ATTACK, sampling=SAMPLING, draws=2)
    assert list(table.columns) == [
        *("index", "label", "predicted", "correct"),
        *("foreground_norm", "background_norm", "foreground_score", "votes", "runner_up_votes"),
    ]
    assert np.allclose(table["foreground_norm"], 0.02, rtol=1e-3)
    assert np.allclose(table["background_norm"], 0.2, rtol=1e-3)


def test_the_noise_is_that_of_float32_whatever_the_precision() -> None:
    """A copy of the smoothed classifier in bfloat16 would climb other noise."""
    subject, _ = linear_subject(3)
    exact, asked = (
        attack_smoothed(subject, ThreatModel("L2", 0.2), 0.0, settings, sampling=SAMPLING, draws=2)
        for settings in (ATTACK, replace(ATTACK, precision="bf16"))
    )
    pd.testing.assert_frame_equal(exact, asked, check_exact=True)


def test_votes_are_taken_on_noise_that_the_attack_has_not_seen() -> None:
    subject, _ = linear_subject(1, spread=0.5)
    predict_images(subject, SAMPLING)
    voting = torch.cat(subject.model.seen) - torch.from_numpy(subject.data.images[0]).float() / 255
    subject.model.seen.clear()
    sampling = replace(SAMPLING, n=11)
    attack_smoothed(subject, ThreatModel("L2", 1e-6), 0.0, ATTACK, sampling=sampling, draws=5)
    used = torch.cat(subject.model.seen) - torch.from_numpy(subject.data.images[0]).float() / 255
    nearest = torch.cdist(used.flatten(1), voting.flatten(1)).amin(dim=1)
    assert len(used) == 5 * 12 + 11  # ten steps, the objective at the end, the prediction of `measure`, votes
    assert (nearest[:-11] > 0.5).all() and (nearest[-11:] < 0.01).all()


def test_a_part_in_train_mode_is_refused(make_subject: MakeSubject) -> None:
    subject = make_subject([0])
    model = nn.Sequential(subject.model, nn.BatchNorm1d(2)).eval()
    model[1].train()
    with pytest.raises(UserError, match="^model: found BatchNorm1d '1' in train mode"):
        certify_images(replace(subject, model=model), SAMPLING, n0=1)


def test_a_classifier_in_train_mode_is_refused(make_subject: MakeSubject) -> None:
    subject = make_subject([0])
    subject.model.train()
    message = "^model: found in train mode"
    with pytest.raises(UserError, match=message):
        certify_images(subject, SAMPLING, n0=1)
    with pytest.raises(UserError, match=message):
        predict_images(subject, SAMPLING)
    with pytest.raises(UserError, match=message):
        attack_smoothed(subject, ThreatModel("L2", 0.1), 0.0, ATTACK, sampling=SAMPLING, draws=1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 1.0}, "^alpha: expected a number between 0 and 1, got 1.0$"),
        ({"alpha": float("nan")}, "^alpha: "),
        ({"batch_size": 0}, "^batch_size: expected at least 1, got 0$"),
        ({"n": 10}, "^n: expected at least 11 noisy copies at alpha 0.001, got 10$"),
        ({"n": 0, "alpha": 0.999}, "^n: expected at least 2 noisy copies"),
    ],
)
def test_values_out_of_range_are_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(SAMPLING, **change)


def test_the_fewest_copies_that_are_accepted_can_give_an_answer() -> None:
    assert replace(SAMPLING, n=11).n == 11
    assert predict(np.array([11, 0]), 0.001)[0] == 0 and predict(np.array([10, 0]), 0.001)[0] == ABSTAINED
    with pytest.raises(UserError, match="^n0: expected at least 1, got 0$"):
        certify_images(linear_subject(1)[0], SAMPLING, n0=0)
