"""Every measure gives the same table on a device that takes few images at a time."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from dualperturb.attacks.smoothed import GaussianNoise
from dualperturb.core.threat_model import ThreatModel
from dualperturb.errors import UserError
from dualperturb.evaluation.gradients import energy_table
from dualperturb.evaluation.health.checks import health
from dualperturb.evaluation.health.gradients import probe
from dualperturb.evaluation.libraries import carlini_wagner_norms, standard_auto_attack
from dualperturb.evaluation.measuring.scoring import AttackSettings, attack_batch, attack_images
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.evaluation.smoothing import Sampling, attack_smoothed, certify_images
from dualperturb.evaluation.strong import auto_attack_images
from dualperturb.evaluation.sweeps.nested import attack_nested
from dualperturb.evaluation.transfer import transfer
from dualperturb.evaluation.unsuspicious.outcomes import Attack, outcomes

SETTINGS = AttackSettings(steps=4, step_size=0.5, restarts=1, batch_size=20, seed=0)
DUAL = ThreatModel("L2", 0.1, 0.1)
LINE = re.compile(r"out of memory with a batch of (\d+) (images|noisy copies); going on with (\d+)")
MakeSubject = Callable[..., Subject]


class Cramped(nn.Module):
    """The model, with memory for so many images at a time; keeps how many it was asked for."""

    def __init__(self, model: nn.Module, room: int) -> None:
        super().__init__()
        self.model, self.room = model, room
        self.asked: list[int] = []
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        self.asked.append(len(images))
        if len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        logits: Tensor = self.model(images)
        return logits


def cramped(subject: Subject, room: int) -> tuple[Subject, Cramped]:
    model = Cramped(subject.model, room)
    return replace(subject, model=model), model


def assert_alike(one: pd.DataFrame, other: pd.DataFrame) -> None:
    exact = [name for name in other if other[name].dtype.kind in "biuO"]
    pd.testing.assert_frame_equal(one[exact], other[exact])
    pd.testing.assert_frame_equal(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("weight", [0.0, 2.0])
def test_the_table_is_the_same_and_each_halving_has_its_line(
    make_subject: MakeSubject, capsys: pytest.CaptureFixture[str], weight: float
) -> None:
    whole = attack_images(make_subject(), DUAL, weight, SETTINGS)
    subject, model = cramped(make_subject(), 6)
    assert_alike(attack_images(subject, DUAL, weight, SETTINGS), whole)
    assert model.asked[:2] == [4, 4], "of a new classifier, whether it answers alike twice"
    assert model.asked[2:5] == [20, 10, 5] and set(model.asked[5:]) == {5}
    assert capsys.readouterr().out.splitlines() == [
        "out of memory with a batch of 20 images; going on with 10",
        "out of memory with a batch of 10 images; going on with 5",
    ]
    model.asked.clear()
    assert_alike(attack_images(subject, DUAL, weight, SETTINGS), whole)
    assert set(model.asked) == {5} and capsys.readouterr().out == ""


def test_later_batches_begin_at_the_smaller_size_and_keep_their_places(make_subject: MakeSubject) -> None:
    subject, model = cramped(make_subject(), 4)
    places = [(place, batch[0].tolist()) for place, batch in subject.own_batches(8)]
    attack_images(subject, DUAL, 0.0, replace(SETTINGS, batch_size=8))
    assert model.asked.count(8) == 1 and set(model.asked) == {8, 4}
    assert [(place, batch[0].tolist()) for place, batch in subject.own_batches(8)] == places


def test_a_batch_keeps_its_images_order(make_subject: MakeSubject) -> None:
    subject, _ = cramped(make_subject([7, 3, 19, 0, 12]), 2)
    batch = next(subject.batches(5))
    examples, table = attack_batch(subject, batch, DUAL, 0.0, SETTINGS)
    assert table["index"].tolist() == [7, 3, 19, 0, 12] and table.index.tolist() == [0, 1, 2, 3, 4]
    spent = (examples - batch[1]).flatten(1).norm(dim=1)
    assert np.allclose(spent, np.hypot(table["foreground_norm"], table["background_norm"]), atol=1e-6)


def test_auto_gives_the_same_table(make_subject: MakeSubject) -> None:
    whole = attack_images(make_subject(), DUAL, 0.0, SETTINGS)
    assert_alike(attack_images(make_subject(), DUAL, 0.0, replace(SETTINGS, batch_size="auto")), whole)


def test_one_image_that_does_not_fit_is_one_line_for_the_user(make_subject: MakeSubject) -> None:
    subject, _ = cramped(make_subject(), 0)
    with pytest.raises(
        UserError, match="^out of memory with 1 of the images at a time; accepted: "
    ) as caught:
        attack_images(subject, DUAL, 0.0, SETTINGS)
    assert "\n" not in str(caught.value)


def smoothed(subject: Subject) -> pd.DataFrame:
    sampling = Sampling(GaussianNoise(0.25), n=60, alpha=0.01, batch_size=60, seed=0)
    return attack_smoothed(subject, DUAL, 0.0, SETTINGS, sampling=sampling, draws=2)


def certified(subject: Subject) -> pd.DataFrame:
    return certify_images(
        subject, Sampling(GaussianNoise(0.25), n=60, alpha=0.01, batch_size=50, seed=0), n0=20
    )


def transferred(subject: Subject) -> pd.DataFrame:
    roomy = replace(subject, model=getattr(subject.model, "model", subject.model))
    return transfer({"roomy": roomy, "cramped": subject}, {"dual": (DUAL, 0.0)}, SETTINGS)


def strong(subject: Subject) -> pd.DataFrame:
    return auto_attack_images(subject, DUAL, SETTINGS)


def carlini_wagner(subject: Subject) -> pd.DataFrame:
    pytest.importorskip("foolbox")
    norms = carlini_wagner_norms(subject, 20, 5, 5)  # the library ends a batch's search early as a whole
    return pd.DataFrame({"wrong": norms == 0, "near": norms < 1, "never": np.isinf(norms)})


def judged(subject: Subject) -> pd.DataFrame:
    attack = Attack(DUAL, bound="clean")
    return outcomes(
        subject, attack, {"builtin": subject.saliency}, SETTINGS, lambda one, two: one.mean((1, 2, 3))
    )


def probed(subject: Subject) -> pd.DataFrame:
    return probe(subject, DUAL, SETTINGS).sort_values(["place", "index"], ignore_index=True)


MEASURES: dict[str, Callable[[Subject], pd.DataFrame]] = {
    "strong": strong,
    "judged": judged,
    "energy": lambda subject: energy_table(subject, 20),
    "health": lambda subject: health(subject, DUAL, SETTINGS),
    "probe": probed,
    "transfer": transferred,
    "smoothed": smoothed,
    "certified": certified,
    "carlini_wagner": carlini_wagner,
}


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_goes_on_in_halves(
    make_subject: MakeSubject, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    whole = MEASURES[name](make_subject())
    assert capsys.readouterr().out == ""
    subject, _ = cramped(make_subject(), 6)
    assert_alike(MEASURES[name](subject), whole)
    halvings: list[Any] = [LINE.fullmatch(line) for line in capsys.readouterr().out.splitlines()]
    assert halvings and all(halvings)
    for unit in ("images", "noisy copies"):
        sizes = [int(found[1]) for found in halvings if found[2] == unit]
        assert len(set(sizes)) == len(sizes), "a size that failed was tried again"


def test_autoattack_judges_every_image_in_halves(make_subject: MakeSubject) -> None:
    pytest.importorskip("pyautoattack")
    subject, _ = cramped(make_subject(), 6)
    # So large a budget that every start fools: the library's random numbers make no difference.
    right = standard_auto_attack(subject, ThreatModel("Linf", 0.5), 0, square_queries=5)
    assert right.tolist() == [False] * 20


def test_nested_threat_models_are_attacked_in_halves(
    make_subject: MakeSubject, capsys: pytest.CaptureFixture[str]
) -> None:
    subject = make_subject()
    small, model = cramped(subject, room=6)
    threats = [ThreatModel("L2", 0.1, radius) for radius in (0.1, 0.5, 1.0)]
    pairs = zip(
        attack_nested(small, threats, SETTINGS), attack_nested(subject, threats, SETTINGS), strict=True
    )
    for own, whole in pairs:
        assert_alike(own, whole)
    assert LINE.findall(capsys.readouterr().out) == [("20", "images", "10"), ("10", "images", "5")]
