"""The gallery's arrays: every example is of the attack that it says, measured on its own classifier."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from dualperturb.attacks.jsma import jsma
from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation.gallery import gallery_arrays
from dualperturb.evaluation.measuring.scoring import AttackSettings, attack_batch
from dualperturb.evaluation.measuring.subject import Batch, Subject

MakeSubject = Callable[..., Subject]
SETTINGS = AttackSettings(steps=3, step_size=0.5, restarts=1, batch_size=20, seed=0)
DUAL = ThreatModel("L2", 0.3, 1.0)


def dual(subject: Subject, batch: Batch) -> torch.Tensor:
    return attack_batch(subject, batch, DUAL, 0.0, SETTINGS)[0]


def few_pixels(subject: Subject, batch: Batch) -> torch.Tensor:
    return jsma(subject.model, batch[1], batch[2], max_share=0.1).images


@pytest.fixture
def arrays(make_subject: MakeSubject) -> dict[str, np.ndarray]:
    one, other = make_subject([1, 4, 2]), make_subject([1, 4, 2])
    other.model[5].bias.data += torch.tensor([0.5, 0.0, 0.0])  # type: ignore[index, union-attr, operator]
    return gallery_arrays(
        {"clean": one, "at_pgd_L2": other}, {"dual": ("L2", dual), "JSMA": ("L0", few_pixels)}
    )


def test_shapes_and_names(arrays: dict[str, np.ndarray]) -> None:
    assert arrays["classifiers"].tolist() == ["clean", "at_pgd_L2"]
    assert arrays["attacks"].tolist() == ["dual", "JSMA"] and arrays["norms"].tolist() == ["L2", "L0"]
    assert arrays["indices"].tolist() == [1, 4, 2]
    assert arrays["examples"].shape == (2, 2, 3, 3, 8, 8) and arrays["examples"].dtype == np.float16
    for name in ("predicted", "confidence", "foreground_score", "foreground_norm", "background_norm"):
        assert arrays[name].shape == (2, 2, 3), name
    assert arrays["clean_predicted"].shape == arrays["clean_confidence"].shape == (2, 3)
    assert not np.array_equal(arrays["clean_predicted"][0], arrays["clean_predicted"][1])


def test_every_example_is_measured_on_its_own_classifier(
    arrays: dict[str, np.ndarray], make_subject: MakeSubject
) -> None:
    subject = make_subject([1, 4, 2])
    examples, table = attack_batch(subject, next(subject.batches(3)), DUAL, 0.0, SETTINGS)
    assert np.array_equal(arrays["examples"][0, 0], examples.numpy().astype(np.float16))
    for name in ("predicted", "foreground_score", "foreground_norm", "background_norm"):
        assert arrays[name][0, 0] == pytest.approx(table[name].to_numpy(), abs=1e-6), name
    assert (arrays["confidence"] > 1 / 3).all() and (arrays["confidence"] <= 1).all()


def test_the_l0_norm_is_the_share_of_a_regions_pixels_that_changed(arrays: dict[str, np.ndarray]) -> None:
    delta = arrays["examples"][0, 1].astype(np.float32) - arrays["original"]
    changed = (np.abs(delta) > 1e-3).any(axis=1)
    mask = arrays["foreground"][:, 0]
    inside = (changed & mask).sum((1, 2)) / np.maximum(mask.sum((1, 2)), 1)
    outside = (changed & ~mask).sum((1, 2)) / np.maximum((~mask).sum((1, 2)), 1)
    assert arrays["foreground_norm"][0, 1] == pytest.approx(inside)
    assert arrays["background_norm"][0, 1] == pytest.approx(outside)
    assert arrays["foreground_norm"][0, 1, 0] == 0, "image 1 has no foreground"
