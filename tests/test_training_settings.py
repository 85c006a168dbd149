from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from dualperturb.attacks.adversary import PgdAdversary
from dualperturb.attacks.smoothed import GaussianNoise
from dualperturb.attacks.training_masks import at_random_places, in_the_center
from dualperturb.core.threat_model import ThreatModel
from dualperturb.errors import UserError
from dualperturb.params import DEFENCES, Params, load_params
from dualperturb.params.masks import SaliencyParams
from dualperturb.training.settings import (
    fingerprint,
    training_adversary,
    training_masks,
    training_settings,
)

PARAMS = Path(__file__).resolve().parents[1] / "params.yaml"
DATA = {"train": "ab12", "masks": "cd34"}


def changed(key: str, value: Any, base: Params | None = None) -> Params:
    """The project's parameters with one of them changed, by its dotted name."""
    raw = (base or load_params(PARAMS)).model_dump()
    *sections, last = key.split(".")
    section = raw
    for name in sections:
        section = section[name]
    assert last in section
    section[last] = value
    return Params.model_validate(raw)


def no_saliency(dataset: str) -> Any:
    raise AssertionError("the saliency model is not needed")


@pytest.fixture
def params() -> Params:
    return load_params(PARAMS)


def test_settings_are_those_of_the_data_set_and_the_defence(params: Params) -> None:
    raw = YAML(typ="safe", pure=True).load(PARAMS.read_text())["shapes6"]["train"]
    for defence in DEFENCES:
        settings = training_settings(params, "shapes6", defence, 7)
        assert settings.epochs == raw[defence]["epochs"] and settings.seed == 7
        assert settings.warmup_epochs == raw[defence].get("warmup_epochs", 0)
        assert settings.optimiser.model_dump() == raw["optimiser"]
        assert settings.augment.model_dump() == raw["augment"]


def test_clean_has_no_adversary(params: Params) -> None:
    assert training_adversary(params, "shapes6", "clean", None, 32, no_saliency) is None


def test_smoothing_trains_on_noise_of_its_sigma() -> None:
    chosen = changed("shapes6.train.smoothing.sigma", 0.5)
    assert training_adversary(chosen, "shapes6", "smoothing", None, 32, no_saliency) == GaussianNoise(0.5)


def test_smoothing_by_region_trains_on_noise_of_both_sigmas() -> None:
    chosen = changed("shapes6.train.smoothing_dual.sigma_b", 3.0)
    for mask, fixed in (("center", True), ("given", False)):
        chosen = changed("shapes6.train.smoothing_dual.mask", mask, chosen)
        found = training_adversary(chosen, "shapes6", "smoothing_dual", None, 32, no_saliency)
        assert found == GaussianNoise(0.25, 3.0, fixed)


@pytest.mark.parametrize(("norm", "scale"), [("L2", 32 / 224), ("Linf", 1 / 255)])
def test_radii_are_those_really_applied(norm: str, scale: float) -> None:
    chosen = load_params(PARAMS)
    budgets = {"eps_f": 3.0, "eps_b": 11.0, "shapes6.train.at_pgd.eps": {"L2": 5.0, "Linf": 7.0}}
    for key, value in budgets.items():
        chosen = changed(key, value, chosen)
    single = training_adversary(chosen, "shapes6", "at_pgd", norm, 32, no_saliency)
    dual = training_adversary(chosen, "shapes6", "at_dual", norm, 32, no_saliency)
    assert isinstance(single, PgdAdversary) and isinstance(dual, PgdAdversary)
    assert single.threat == ThreatModel(norm, pytest.approx({"L2": 5.0, "Linf": 7.0}[norm] * scale))
    assert dual.threat == ThreatModel(norm, pytest.approx(3.0 * scale), pytest.approx(11.0 * scale))


def test_steps_come_from_the_section_of_the_defence() -> None:
    chosen = changed("shapes6.train.at_dual.steps", 9, changed("shapes6.train.at_pgd.step_size", 0.125))
    found = [
        training_adversary(chosen, "shapes6", defence, "L2", 32, no_saliency)
        for defence in ("at_pgd", "at_dual")
    ]
    section = chosen.of("shapes6").train
    expected = [(section.at_pgd.steps, 0.125), (9, section.at_dual.step_size)]
    assert [
        (attack.steps, attack.step_size) for attack in found if isinstance(attack, PgdAdversary)
    ] == expected


@pytest.mark.parametrize(
    ("steps", "compile", "found"), [(19, "auto", "off"), (20, "auto", "auto"), (20, "off", "off")]
)
def test_short_trainings_are_not_compiled(steps: int, compile: str, found: str) -> None:
    chosen = changed("runtime.compile", compile, changed("shapes6.train.at_dual.steps", steps))
    assert chosen.of("shapes6").train.at_dual.epochs == 10
    attack = training_adversary(chosen, "shapes6", "at_dual", "L2", 32, no_saliency)
    assert isinstance(attack, PgdAdversary) and attack.compile == found


def test_the_saliency_model_comes_only_with_a_weight() -> None:
    asked: list[str] = []

    def saliency(model: SaliencyParams) -> Callable[..., Any]:
        asked.append(model.name)
        return abs

    chosen = changed("shapes6.train.at_dual.salience_weight", 0.5)
    attack = training_adversary(chosen, "shapes6", "at_dual", "L2", 32, saliency)
    assert isinstance(attack, PgdAdversary) and attack.saliency is abs and attack.salience_weight == 0.5
    assert asked == ["builtin"]


NAMED = ("whole_10", "random_masks", "center_masks", "mixed_norms")  # of params.yaml


@pytest.fixture
def named() -> Params:
    return changed("named", NAMED, changed("norms", ("L2",)))


def test_a_named_defence_has_what_it_does_not_say_from_the_papers(named: Params) -> None:
    raw = YAML(typ="safe", pure=True).load(PARAMS.read_text())
    raw |= {"norms": ["L2"], "named": ["whole_10", "random_masks"]}
    train = raw["shapes6"]["train"]
    train["named"] = {"whole_10": train["named"]["whole_10"], "random_masks": train["named"]["random_masks"]}
    train["at_pgd"] |= {"epochs": 31, "step_size": 0.375}
    train["at_dual"] |= {"epochs": 32, "warmup_epochs": 5, "salience_weight": 0.5}
    train["named"]["random_masks"]["epochs"] = 33
    chosen = Params.model_validate(raw)
    pgd, dual = (training_settings(chosen, "shapes6", name, 0) for name in chosen.named)
    assert (pgd.epochs, pgd.warmup_epochs, dual.epochs, dual.warmup_epochs) == (31, 0, 33, 5)
    found = [training_adversary(chosen, "shapes6", name, "L2", 32, lambda _: abs) for name in chosen.named]
    assert all(isinstance(one, PgdAdversary) for one in found)
    assert [one.step_size for one in found] == [0.375, 0.5] and [one.salience_weight for one in found] == [
        0,
        0.5,
    ]


def test_a_named_defence_trains_with_its_own_budgets_and_norms(named: Params) -> None:
    scale = 32 / 224
    for name, threat in (
        ("whole_10", ThreatModel("L2", 10 * scale)),
        ("center_masks", ThreatModel("L2", 2 * scale, 20 * scale)),
        ("mixed_norms", ThreatModel("L2", 4 / 255, 20 * scale, "Linf")),
    ):
        found = training_adversary(named, "shapes6", name, "L2", 32, no_saliency)
        assert isinstance(found, PgdAdversary) and found.threat == threat


def test_masks_are_the_given_ones_or_those_that_the_defence_asks_for(named: Params) -> None:
    given = np.zeros((9, 1, 8, 8), np.bool_)
    given[:, :, :2, :2] = True
    for name in ("clean", "at_dual", "whole_10", "mixed_norms"):
        assert training_masks(named, "shapes6", name, given, 7) is given
    found = training_masks(named, "shapes6", "random_masks", given, 7)
    assert np.array_equal(found, at_random_places(given, 7))
    assert np.array_equal(training_masks(named, "shapes6", "center_masks", given, 7), in_the_center(given))


def test_unknown_names_are_refused(params: Params) -> None:
    with pytest.raises(UserError, match="defence: found 'at_pgb', accepted are clean, at_pgd, at_dual"):
        training_settings(params, "shapes6", "at_pgb", 0)
    with pytest.raises(UserError, match="data set: found 'shapes7', accepted are .*shapes6"):
        training_adversary(params, "shapes7", "clean", None, 32, no_saliency)


@pytest.mark.parametrize(
    ("defence", "norm", "line"),
    [
        ("clean", "L2", "norm of clean: found L2; accepted: none"),
        ("at_pgd", None, "norm of at_pgd: found none; accepted: L2, Linf"),
        ("at_dual", "L1", "norm of at_dual: found L1; accepted: L2, Linf"),
    ],
)
def test_a_norm_that_does_not_fit_is_refused(
    params: Params, defence: str, norm: str | None, line: str
) -> None:
    with pytest.raises(UserError, match=f"^{line}$"):
        training_adversary(params, "shapes6", defence, norm, 32, no_saliency)


# What a checkpoint is named after

ALL = set(DEFENCES)
CHANGES = [
    ("seeds", {"data": 1, "training": (0, 1), "attack": 1}, set()),
    ("shapes6.train.classifier.architecture", "resnet18", ALL),
    ("shapes6.train.classifier.weights", "imagenet", ALL),
    ("shapes6.train.optimiser.batch_size", 64, ALL),
    ("shapes6.train.optimiser.learning_rate", 0.2, ALL),
    ("shapes6.train.optimiser.schedule", "cosine", ALL),
    ("shapes6.train.augment.pad", 3, ALL),
    ("shapes6.train.augment.flip", False, ALL),
    ("shapes6.train.clean.epochs", 11, {"clean"}),
    ("shapes6.train.at_pgd.epochs", 11, {"at_pgd"}),
    ("shapes6.train.at_pgd.steps", 7, {"at_pgd"}),
    ("shapes6.train.at_pgd.eps", {"L2": 1.0, "Linf": 4.0}, {"at_pgd"}),
    ("shapes6.train.at_pgd.eps", {"L2": 2.0, "Linf": 9.0}, set()),
    ("shapes6.train.at_dual.warmup_epochs", 1.5, {"at_dual"}),
    ("shapes6.train.at_dual.step_size", 0.3, {"at_dual"}),
    ("shapes6.train.at_dual.salience_weight", 1.0, {"at_dual"}),
    ("eps_f", 1.5, {"at_dual"}),
    ("eps_b", 5.0, {"at_dual"}),
    ("norms", ("L2",), set()),
    ("shapes6.train.smoothing.sigma", 0.3, {"smoothing"}),
    ("shapes6.train.smoothing_dual.sigma_b", 3.0, {"smoothing_dual"}),
    ("shapes6.train.smoothing_dual.mask", "given", {"smoothing_dual"}),
    ("shapes6.eps_scale", 0.5, {"at_pgd", "at_dual"}),
    ("shapes6.masks.threshold", "density", set()),
    ("shapes6.masks.batch_size", 10, set()),
    ("salience_weight.shapes6", 3.0, set()),
    ("imagenet10.train.at_dual.epochs", 3, set()),
    ("shapes6.evaluate.steps", 50, set()),
    ("plots.dpi", 200, set()),
    ("datasets", ("imagenet10",), set()),
]


@pytest.mark.parametrize(("key", "value", "defences"), CHANGES)
def test_the_fingerprint_changes_with_what_the_weights_depend_on(
    params: Params, key: str, value: Any, defences: set[str]
) -> None:
    other = changed(key, value)
    before, after = (
        {d: fingerprint(p, "shapes6", d, p.trained(d)[0], 0, 32, DATA) for d in DEFENCES}
        for p in (params, other)
    )
    assert {defence for defence in DEFENCES if before[defence] != after[defence]} == defences


def test_the_saliency_model_counts_once_it_has_a_weight(tmp_path: Path) -> None:
    weighted = changed("shapes6.train.at_dual.salience_weight", 1.0)
    checkpoint = tmp_path / "deepgaze.pth"
    checkpoint.write_bytes(b"1")
    models: list[Any] = ["builtin", "center", "deepgaze", {"name": "deepgaze", "variant": "I"}]
    models += [{"name": "deepgaze", "weights": str(checkpoint)}]
    weighted = changed("shapes6.train.at_dual.salience_weight", 1.0)
    chosen = [changed("shapes6.masks.model", model, weighted) for model in models]
    names = [fingerprint(params, "shapes6", "at_dual", "L2", 0, 32, DATA) for params in chosen]
    checkpoint.write_bytes(b"2")
    names.append(fingerprint(chosen[-1], "shapes6", "at_dual", "L2", 0, 32, DATA))
    assert len(set(names)) == len(models) + 1


def test_the_fingerprint_tells_defences_data_and_sizes_apart(params: Params) -> None:
    names = [
        fingerprint(params, "shapes6", defence, params.trained(defence)[0], 0, 32, DATA)
        for defence in DEFENCES
    ]
    names += [
        fingerprint(params, "shapes6", "at_dual", "L2", 1, 32, DATA),
        fingerprint(params, "shapes6", "at_dual", "L2", 0, 64, DATA),
        fingerprint(params, "shapes6", "at_dual", "L2", 0, 32, DATA | {"masks": "ef56"}),
    ]
    assert len(set(names)) == len(names)
    assert all(len(name) == 12 and int(name, 16) >= 0 for name in names)


def test_a_weights_file_counts_by_its_content(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    chosen = changed("shapes6.train.classifier.weights", str(weights))
    names = set()
    for content in (b"one", b"two"):
        weights.write_bytes(content)
        names.add(fingerprint(chosen, "shapes6", "clean", None, 0, 32, DATA))
    assert len(names) == 2
