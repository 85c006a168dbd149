from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from dualperturb.core.result import AttackResult
from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation.examples import dual_arrays, noise_arrays
from dualperturb.evaluation.measuring import scoring
from dualperturb.evaluation.measuring.scoring import AttackSettings, BrokenThreatModelError, attack_images
from dualperturb.evaluation.measuring.subject import Subject

SETTINGS = AttackSettings(steps=3, step_size=0.5, restarts=1, batch_size=2, seed=0)
DUAL = ThreatModel("L2", 0.3, 1.0)
POSITIONS = [4, 17, 6]
MakeSubject = Callable[..., Subject]


@pytest.fixture
def dual(make_subject: MakeSubject) -> dict[str, np.ndarray]:
    return dual_arrays(make_subject(POSITIONS), DUAL, (0.0, 10.0), "clean", SETTINGS)


@pytest.fixture
def noise(make_subject: MakeSubject) -> dict[str, np.ndarray]:
    return noise_arrays(make_subject(POSITIONS), "L2", 0.8, SETTINGS)


def norms(arrays: dict[str, np.ndarray], pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    squares = (pictures - arrays["original"]).astype(np.float64) ** 2
    mask = arrays["foreground"]
    return tuple(np.sqrt((squares * region).sum((-3, -2, -1))) for region in (mask, ~mask))


def test_shapes_and_names(
    dual: dict[str, np.ndarray], noise: dict[str, np.ndarray], make_subject: MakeSubject
) -> None:
    def pictures(*names: str) -> dict[str, tuple[int, ...]]:
        outcomes = {f"{name}_{measure}": (3,) for name in names for measure in ("predicted", "score")}
        shared = {"indices": (3,), "labels": (3,), "foreground": (3, 1, 8, 8)}
        return {**dict.fromkeys(names, (3, 3, 8, 8)), **outcomes, **shared}

    assert {name: array.shape for name, array in dual.items()} == {
        **pictures("original"),
        **{"log_density": (3, 8, 8), "salience_weights": (2,)},
        **{"dual": (3, 3, 3, 8, 8), "dual_predicted": (3, 3), "dual_score": (3, 3)},
    }
    shapes = pictures("original", "background_noise", "foreground_noise")
    assert {name: array.shape for name, array in noise.items()} == shapes
    data = make_subject().data
    for arrays in (dual, noise):
        assert arrays["indices"].tolist() == POSITIONS
        assert arrays["labels"].tolist() == data.labels[POSITIONS].tolist()
        originals = data.images[POSITIONS].astype(np.float32) / np.float32(255)
        assert np.array_equal(arrays["original"], originals)
        assert arrays["original"].dtype == np.float32 and arrays["foreground"].dtype == np.bool_


def test_every_picture_is_inside_its_threat_model(
    dual: dict[str, np.ndarray], noise: dict[str, np.ndarray]
) -> None:
    bounded = {"bounded": dual["dual"][2], "weighed": dual["dual"][:2]}
    for name, (inside, outside) in {
        "weighed": (0.3, 1.0),
        "bounded": (0.3, 1.0),
        "foreground_noise": (0.8, 0.0),
        "background_noise": (0.0, 0.8),
    }.items():
        pictures = (bounded | noise)[name]
        assert pictures.min() >= 0 and pictures.max() <= 1
        spent_inside, spent_outside = norms(noise, pictures)
        least = 0.0 if name == "bounded" else 0.95
        assert least * inside - 1e-7 <= spent_inside.max() <= inside * 1.0001 + 1e-7
        assert least * outside - 1e-7 <= spent_outside.max() <= outside * 1.0001 + 1e-7


def test_the_dual_example_is_the_one_that_the_results_speak_of(
    dual: dict[str, np.ndarray], make_subject: MakeSubject
) -> None:
    for place, weight in enumerate(dual["salience_weights"]):
        table = attack_images(make_subject(POSITIONS), DUAL, float(weight), SETTINGS)
        assert dual["dual_predicted"][place].tolist() == table["predicted"].tolist()
        assert np.allclose(dual["dual_score"][place], table["foreground_score"], atol=1e-3)


def test_a_larger_weight_draws_attention_to_the_foreground(dual: dict[str, np.ndarray]) -> None:
    assert (dual["dual_score"][1] > dual["dual_score"][0]).all()


def test_the_last_example_alone_keeps_the_score(
    dual: dict[str, np.ndarray], make_subject: MakeSubject
) -> None:
    assert (dual["dual_score"][2] >= dual["original_score"]).all()
    assert (dual["dual_score"][0] < dual["original_score"]).any()
    own = replace(SETTINGS, salience_every=4)
    weighed = dual_arrays(make_subject(POSITIONS), DUAL, (0.0,), "clean", own)
    assert np.array_equal(weighed["dual"][0], dual["dual"][0])
    assert np.array_equal(weighed["dual"][1], dual["dual"][2])


def test_predictions_are_those_of_the_pictures(
    dual: dict[str, np.ndarray], noise: dict[str, np.ndarray], make_subject: MakeSubject
) -> None:
    subject = make_subject()
    shown = {name: noise[name] for name in ("original", "foreground_noise", "background_noise")}
    predictions = {name: noise[f"{name}_predicted"] for name in shown}
    for name, pictures, predicted in (
        *((name, shown[name], predictions[name]) for name in shown),
        ("bounded", dual["dual"][2], dual["dual_predicted"][2]),
    ):
        with torch.no_grad():
            expected = subject.model(torch.from_numpy(pictures)).argmax(dim=1)
        assert predicted.tolist() == expected.tolist(), name


def test_an_attack_that_breaks_its_budget_gives_no_picture(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attack(model: object, images: Tensor, labels: Tensor, *_: object, **__: object) -> AttackResult:
        return AttackResult(images * 0.5, labels > 0, {})

    monkeypatch.setattr(scoring, "pgd", attack)
    for make in (
        lambda subject: dual_arrays(subject, DUAL, (0.0,), 0.5, SETTINGS),
        lambda subject: noise_arrays(subject, "L2", 0.8, SETTINGS),
    ):
        with pytest.raises(BrokenThreatModelError):
            make(make_subject(POSITIONS))
