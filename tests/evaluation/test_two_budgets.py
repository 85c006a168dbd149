"""Certificates for two budgets, against a classifier whose smoothed form is known in closed form.

Under noise by region a linear classifier of two classes gives the right one with probability Phi(distance/s),
s^2 = sigma_f^2 |w_f|^2 + sigma_b^2 |w_b|^2, w the unit normal of its hyperplane, w_f and w_b its parts in the
regions. Smoothed, it decides as before, so that budgets break it where eps_f |w_f| + eps_b |w_b| >= distance.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from dualperturb.attacks.smoothed import GaussianNoise
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.evaluation.smoothing import (
    ABSTAINED,
    Sampling,
    certified_accuracy,
    certify_images,
    predict_images,
)
from tests.evaluation.test_smoothing import linear_subject

NOISE = GaussianNoise(0.2, 0.8)
SAMPLING = Sampling(NOISE, n=4000, alpha=0.001, batch_size=2000, seed=0)


def parts(subject: Subject) -> tuple[float, float]:
    """|w_f| and |w_b|; the foreground of the subject is the same for all images."""
    weight = subject.model.weight.double() / subject.model.weight.double().norm()
    inside = torch.from_numpy(subject.foreground[0]).expand(3, 4, 4).flatten()
    return float(weight[inside].norm()), float(weight[~inside].norm())


@pytest.fixture(scope="module")
def measured() -> tuple[Subject, np.ndarray, pd.DataFrame]:
    subject, distance = linear_subject(20, spread=1.2)
    subject.foreground[..., 1:, :] = False  # a quarter, so that the regions cannot be confused
    return subject, distance, certify_images(subject, SAMPLING, n0=100)


def test_the_votes_are_those_of_the_closed_form(
    measured: tuple[Subject, np.ndarray, pd.DataFrame],
) -> None:
    subject, distance, table = measured
    inside, outside = parts(subject)
    spread = math.hypot(0.2 * inside, 0.8 * outside)
    assert table["correct"][distance > 0.2].all()
    right = np.where(table["predicted"] == table["label"], table["votes"] / SAMPLING.n, np.nan)
    known = ~np.isnan(right)
    assert known.sum() > 15
    assert np.allclose(right[known], norm.cdf(distance / spread)[known], atol=4 * 0.5 / math.sqrt(SAMPLING.n))
    assert np.allclose(table["radius"][known], 0.2 * norm.ppf(table["lower_bound"])[known])


def test_no_budgets_that_break_an_image_are_certified(
    measured: tuple[Subject, np.ndarray, pd.DataFrame],
) -> None:
    subject, distance, table = measured
    inside, outside = parts(subject)
    certified = 0
    for eps_f in np.linspace(0, 1.5, 16):
        for eps_b in np.linspace(0, 1.5, 16):
            held = (table["radius"] > NOISE.radius(eps_f, eps_b)).to_numpy()
            certified += held.sum()
            assert (eps_f * inside + eps_b * outside < distance[held]).all()
    assert certified > 300


def test_along_the_worst_direction_nearly_all_is_certified(
    measured: tuple[Subject, np.ndarray, pd.DataFrame],
) -> None:
    """There eps_f / sigma_f and eps_b / sigma_b stand as sigma_f |w_f| and sigma_b |w_b| do."""
    subject, distance, table = measured
    inside, outside = parts(subject)
    shape = 0.2**2 * inside, 0.8**2 * outside
    near = (distance > 0.3) & (distance < 1.0)
    assert near.sum() >= 5
    for radius, own in zip(table["radius"][near], distance[near], strict=True):
        share = own / (shape[0] * inside + shape[1] * outside)
        assert 0.8 * NOISE.radius(share * shape[0], share * shape[1]) < radius
        assert radius < NOISE.radius(share * shape[0], share * shape[1])


def test_an_abstention_is_certified_for_no_budgets() -> None:
    subject, _ = linear_subject(3, spread=0.5)
    on_it = replace(subject, indices=np.array([1]))
    table = certify_images(on_it, SAMPLING, n0=100)
    assert table["predicted"].tolist() == [ABSTAINED]
    assert certified_accuracy(table, NOISE.radius(0, 0))["accuracy"] == 0


def test_the_fixed_mask_takes_the_place_of_the_images_own() -> None:
    subject, _ = linear_subject(8, spread=0.3)
    other = replace(subject, foreground=~subject.foreground)
    own, fixed = SAMPLING, replace(SAMPLING, noise=replace(NOISE, fixed=True))
    assert predict_images(subject, fixed).equals(predict_images(other, fixed))
    assert not predict_images(subject, own).equals(predict_images(other, own))


def test_the_same_sigma_in_both_regions_is_noise_without_regions() -> None:
    subject, _ = linear_subject(4, spread=0.3)
    tables = [
        certify_images(subject, replace(SAMPLING, noise=noise, n=200), n0=20)
        for noise in (GaussianNoise(0.25), GaussianNoise(0.25, 0.25))
    ]
    pd.testing.assert_frame_equal(*tables)


SIGMA = st.floats(0.05, 5)
VALUES = st.lists(st.floats(-1, 1), min_size=12, max_size=12)


@settings(max_examples=300, deadline=None)
@given(st.tuples(SIGMA, SIGMA), VALUES, VALUES, st.floats(0.01, 3), st.integers(0, 12), st.floats(0, 0.999))
def test_nothing_inside_the_certified_region_changes_the_exact_prediction(
    sigmas: tuple[float, float],
    weights: list[float],
    moved: list[float],
    margin: float,
    inside: int,
    share: float,
) -> None:
    """Exact in place of estimated: a linear classifier, smoothed, whose value is `margin` at the image.

    Any perturbation is scaled to budgets that lie, by `share`, just inside what the probability certifies.
    """
    noise, foreground = GaussianNoise(*sigmas), np.arange(12) < inside
    scale = np.where(foreground, *sigmas)
    normal, delta = np.array(weights), np.array(moved)
    spread = float(np.linalg.norm(scale * normal))
    if spread < 1e-6 or np.linalg.norm(delta) < 1e-6:
        return
    radius = min(sigmas) * margin / spread  # sigma * Phi^-1(Phi(margin / spread))
    budgets = [float(np.linalg.norm(delta[region])) for region in (foreground, ~foreground)]
    delta *= share * radius / noise.radius(*budgets)
    assert margin + float(normal @ delta) > 0
