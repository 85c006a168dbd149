"""The seed that each stage hands on: three that differ, so that a mix-up shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from dualperturb.core.classifiers.storage import ClassifierSpec, build_classifier, save_classifier
from dualperturb.core.images import load_split
from dualperturb.datasets import prepare, shapes6
from dualperturb.params import load_params
from stages import health, smoothing, strong
from stages import train as train_stage
from stages.common import classifier_folder
from stages.subject import subject, threats

ROOT = Path(__file__).resolve().parents[2]
DATA, TRAINING, ATTACK = 5, 6, 7
CLASSIFIERS = (("clean", None), ("at_pgd", "L2"), ("smoothing", None))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with prepared images, masks and untrained classifiers."""
    folder = tmp_path_factory.mktemp("project")
    raw = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    raw["seeds"] = {"data": DATA, "training": [TRAINING], "attack": ATTACK}
    raw["shapes6"]["data"] |= {"train": 12, "test": 12}
    measures = raw["shapes6"]["evaluate"]
    for section in (
        measures,
        *(measures[name] for name in ("transfer", "jsma", "strong", "smoothing", "unsuspicious", "health")),
    ):
        section["n"] = 4
    measures["strong"]["library_n"] = measures["strong"]["cw"]["n"] = 4
    (folder / "params.yaml").write_text(json.dumps(raw), encoding="utf-8")
    meta = prepare(
        "shapes6", load_params(folder / "params.yaml"), folder / "raw", folder / "data/prepared/shapes6"
    )
    (folder / "data/masks/shapes6").mkdir(parents=True)
    for split in ("train", "test"):
        np.save(folder / f"data/masks/shapes6/{split}.foreground.npy", np.ones((12, 1, 32, 32), np.bool_))
    spec = ClassifierSpec("small_resnet", tuple(meta["class_names"]))
    for defence, norm in CLASSIFIERS:
        save_classifier(
            folder / classifier_folder("shapes6", defence, norm, TRAINING), build_classifier(spec), spec
        )
    return folder


class SeenError(Exception):
    """What a stand-in was called with."""


@pytest.fixture
def handed(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, ...]]:
    """The arguments of the first call of a function, in what is run."""
    monkeypatch.chdir(home)

    def seen(*arguments: Any, **named: Any) -> None:
        raise SeenError(*arguments, *named.values())

    def arguments(function: str, run: Callable[[], object]) -> tuple[Any, ...]:
        monkeypatch.setattr(function, seen)
        with pytest.raises(SeenError) as caught:
            run()
        return caught.value.args

    return arguments


def test_images_are_drawn_and_chosen_by_that_of_data(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    params, data = load_params(home / "params.yaml"), load_split(home / "data/prepared/shapes6", "test")
    drawn, _, _ = shapes6.draw(12, DATA, "test", params.of("shapes6").data.background_match)
    assert np.array_equal(data.images, drawn)
    measured = subject("shapes6", "clean", None, TRAINING, params)
    assert measured.indices.tolist() == data.choose(4, DATA).tolist() != data.choose(4, ATTACK).tolist()
    monkeypatch.setattr(health, "_logged", lambda *_: 0.0)
    trained = health._trained("shapes6", "at_pgd", "L2", TRAINING, params, measured)
    assert trained is not None and trained.subject.indices.tolist() == data.choose(4, DATA).tolist()


def test_a_training_begins_with_weights_of_its_own(handed: Callable[..., tuple[Any, ...]]) -> None:
    begun = handed(
        "dualperturb.core.classifiers.storage.build_classifier", lambda: train_stage.main("clean", "shapes6")
    )
    assert begun[2] == TRAINING


def test_a_training_draws_its_batches_by_its_own(handed: Callable[..., tuple[Any, ...]]) -> None:
    given = handed("dualperturb.training.loop.train", lambda: train_stage.main("clean", "shapes6"))
    assert given[4].seed == TRAINING


def test_attacks_start_by_that_of_attacks(home: Path, handed: Callable[..., tuple[Any, ...]]) -> None:
    params = load_params(home / "params.yaml")
    sampled = handed("dualperturb.evaluation.smoothing.certify_images", lambda: smoothing.main("shapes6"))
    assert sampled[1].seed == ATTACK
    own = handed(
        "dualperturb.evaluation.measuring.scoring.attack_images",
        lambda: strong.main("shapes6", "clean", "L2"),
    )
    assert own[3].seed == ATTACK
    measured = subject("shapes6", "clean", None, TRAINING, params)
    plain = threats(params, "shapes6", "L2", 32)["pgd"]
    library = "dualperturb.evaluation.libraries.standard_auto_attack"
    assert handed(library, lambda: strong.standard(measured, plain, params, 5))[2] == ATTACK
