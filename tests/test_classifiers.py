from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from dualperturb.core.classifiers.storage import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    ClassifierSpec,
    Normalise,
    build_classifier,
    load_classifier,
    load_spec,
    save_classifier,
)
from dualperturb.errors import UserError

SPEC = ClassifierSpec("small_resnet", ("boat", "house", "bird"))


def saved(folder: Path, seed: int = 0) -> nn.Module:
    """A classifier on disk whose running statistics are no longer those of a new one."""
    model = build_classifier(SPEC, seed=seed).train()
    model(torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
    save_classifier(folder, model, SPEC)
    return model.eval()


def test_normalisation_is_the_first_layer() -> None:
    model = build_classifier(SPEC).eval()
    assert isinstance(next(iter(model.children())), Normalise)
    images = torch.rand(4, 3, 32, 32)
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    by_hand = ((images.movedim(1, -1) - mean) / std).movedim(-1, 1)
    torch.testing.assert_close(model[0](images), by_hand)
    torch.testing.assert_close(model(images), model.network(by_hand))


def test_one_logit_a_class() -> None:
    assert build_classifier(SPEC)(torch.rand(5, 3, 32, 32)).shape == (5, 3)


def test_the_seed_alone_decides_the_first_weights() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.rand(3)
        before, network = torch.random.get_rng_state(), build_classifier(SPEC, seed=seed).network
        assert torch.equal(before, torch.random.get_rng_state()), "the global generator is left alone"
        return torch.cat([network.stem[0].weight.flatten(), network.fc.weight.flatten()])

    assert torch.equal(weights(1), weights(1)) and not torch.equal(weights(1), weights(2))


def test_a_round_trip_keeps_every_bit_of_the_logits(tmp_path: Path) -> None:
    model = saved(tmp_path / "clean", seed=5)
    loaded = load_classifier(str(tmp_path / "clean"))
    images = torch.rand(4, 3, 32, 32)
    assert torch.equal(model(images), loaded(images))
    assert not loaded.training and not any(values.requires_grad for values in loaded.parameters())
    assert load_spec(tmp_path / "clean") == SPEC
    assert sorted(file.name for file in (tmp_path / "clean").iterdir()) == [
        "classifier.json",
        "weights.safetensors",
    ]


def test_the_same_classifier_has_the_same_bytes(tmp_path: Path) -> None:
    saved(tmp_path / "a"), saved(tmp_path / "b")
    for name in ("classifier.json", "weights.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_initial_weights_from_a_file_take_over_all_but_the_last_layer(tmp_path: Path) -> None:
    model = saved(tmp_path, seed=5)
    other = ClassifierSpec("small_resnet", ("a", "b"))
    built = build_classifier(other, str(tmp_path / "weights.safetensors"), seed=1)
    assert torch.equal(built.network.stem[0].weight, model.network.stem[0].weight)
    assert torch.equal(built.network.fc.weight, build_classifier(other, seed=1).network.fc.weight)


def forget_checksum(folder: Path) -> None:
    """As classifiers were described before a checksum was kept."""
    described = json.loads((folder / "classifier.json").read_text())
    del described["sha256"]
    (folder / "classifier.json").write_text(json.dumps(described))


def test_one_changed_bit_is_noticed(tmp_path: Path) -> None:
    saved(tmp_path)
    path = tmp_path / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        UserError, match=r"weights.safetensors: its SHA-256 is not the one in [^\n]*make it anew"
    ):
        load_classifier(tmp_path)
    forget_checksum(tmp_path)
    load_classifier(tmp_path)


def test_truncated_weights_are_refused_on_one_line(tmp_path: Path) -> None:
    saved(tmp_path)
    forget_checksum(tmp_path)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(
        UserError, match=r"weights.safetensors: cannot be loaded \([^\n]*\); make it anew with"
    ):
        load_classifier(tmp_path)


def test_missing_weights_are_refused_on_one_line(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "weights.safetensors").unlink()
    with pytest.raises(UserError, match=r"^[^\n]*weights.safetensors: cannot be loaded [^\n]*$"):
        load_classifier(tmp_path)


def test_weights_of_another_classifier_are_refused_on_one_line(tmp_path: Path) -> None:
    saved(tmp_path)
    described = json.loads((tmp_path / "classifier.json").read_text())
    described["class_names"].append("fish")
    (tmp_path / "classifier.json").write_text(json.dumps(described))
    with pytest.raises(UserError, match=r"^[^\n]*weights.safetensors: cannot be loaded [^\n]*$"):
        load_classifier(tmp_path)


def test_no_classifier_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"classifier.json: not found; train the classifier first"):
        load_classifier(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"architecture": "small_resnet"}', '{"class_names": null}'])
def test_a_damaged_description_is_refused_on_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "classifier.json").write_text(text)
    with pytest.raises(UserError, match=r"^[^\n]*classifier.json: not a classifier's description [^\n]*$"):
        load_spec(tmp_path)
