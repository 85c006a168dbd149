from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from dualperturb.core.result import AttackResult
from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation.examples import example_arrays
from dualperturb.evaluation.measuring import scoring
from dualperturb.evaluation.measuring.scoring import AttackSettings, BrokenThreatModelError, attack_images
from dualperturb.evaluation.measuring.subject import Subject

SETTINGS = AttackSettings(steps=3, step_size=0.5, restarts=1, batch_size=2, seed=0)
DUAL = ThreatModel("L2", 0.3, 1.0)
POSITIONS = [4, 17, 6]
MakeSubject = Callable[..., Subject]


@pytest.fixture
def arrays(make_subject: MakeSubject) -> dict[str, np.ndarray]:
    return example_arrays(make_subject(POSITIONS), DUAL, 0.8, (0.0, 10.0), SETTINGS)


def norms(arrays: dict[str, np.ndarray], pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    squares = (pictures - arrays["original"]).astype(np.float64) ** 2
    mask = arrays["foreground"]
    return tuple(np.sqrt((squares * region).sum((-3, -2, -1))) for region in (mask, ~mask))


def test_shapes_and_names(arrays: dict[str, np.ndarray], make_subject: MakeSubject) -> None:
    shapes = {name: array.shape for name, array in arrays.items()}
    pictures = ("original", "foreground_noise", "background_noise")
    assert shapes == {
        **{"indices": (3,), "labels": (3,), "foreground": (3, 1, 8, 8), "log_density": (3, 8, 8)},
        **{"salience_weights": (2,), "dual": (2, 3, 3, 8, 8), "dual_predicted": (2, 3), "dual_score": (2, 3)},
        **dict.fromkeys(pictures, (3, 3, 8, 8)),
        **{f"{name}_{measure}": (3,) for name in pictures for measure in ("predicted", "score")},
    }
    data = make_subject().data
    assert arrays["indices"].tolist() == POSITIONS
    assert arrays["labels"].tolist() == data.labels[POSITIONS].tolist()
    assert np.array_equal(arrays["original"], data.images[POSITIONS].astype(np.float32) / np.float32(255))
    assert arrays["original"].dtype == np.float32 and arrays["foreground"].dtype == np.bool_


def test_every_picture_is_inside_its_threat_model(arrays: dict[str, np.ndarray]) -> None:
    for name, (inside, outside) in {
        "dual": (0.3, 1.0),
        "foreground_noise": (0.8, 0.0),
        "background_noise": (0.0, 0.8),
    }.items():
        assert arrays[name].min() >= 0 and arrays[name].max() <= 1
        spent_inside, spent_outside = norms(arrays, arrays[name])
        assert spent_inside.max() == pytest.approx(inside, rel=0.05, abs=1e-7)
        assert spent_outside.max() == pytest.approx(outside, rel=0.05, abs=1e-7)


def test_the_dual_example_is_the_one_that_the_results_speak_of(
    arrays: dict[str, np.ndarray], make_subject: MakeSubject
) -> None:
    for place, weight in enumerate(arrays["salience_weights"]):
        table = attack_images(make_subject(POSITIONS), DUAL, float(weight), SETTINGS)
        assert arrays["dual_predicted"][place].tolist() == table["predicted"].tolist()
        assert np.allclose(arrays["dual_score"][place], table["foreground_score"], atol=1e-3)


def test_a_larger_weight_draws_attention_to_the_foreground(arrays: dict[str, np.ndarray]) -> None:
    assert (arrays["dual_score"][1] > arrays["dual_score"][0]).all()


def test_predictions_are_those_of_the_pictures(
    arrays: dict[str, np.ndarray], make_subject: MakeSubject
) -> None:
    subject = make_subject()
    for name in ("original", "foreground_noise", "background_noise"):
        with torch.no_grad():
            predicted = subject.model(torch.from_numpy(arrays[name])).argmax(dim=1)
        assert arrays[f"{name}_predicted"].tolist() == predicted.tolist()


def test_an_attack_that_breaks_its_budget_gives_no_picture(
    make_subject: MakeSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attack(model: object, images: Tensor, labels: Tensor, *_: object, **__: object) -> AttackResult:
        return AttackResult(images * 0.5, labels > 0, {})

    monkeypatch.setattr(scoring, "pgd", attack)
    with pytest.raises(BrokenThreatModelError):
        example_arrays(make_subject(POSITIONS), DUAL, 0.8, (0.0,), SETTINGS)
