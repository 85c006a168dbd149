"""Classifiers that no attack can climb or judge: one line, no false success, no error of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dualperturb import L2, Dual, UserError, apgd, auto_attack, jsma, nested_pgd, pgd

Parts = Callable[..., tuple[nn.Module, Tensor, Tensor, Tensor]]
Attack = Callable[[Callable[[Tensor], object], Tensor, Tensor], Any]
STEPS = {"steps": 4, "step_size": 0.5}
CLIMBING: dict[str, Attack] = {
    "pgd": lambda model, images, labels: pgd(model, images, labels, L2(0.5), **STEPS),
    "nested_pgd": lambda model, images, labels: nested_pgd(model, images, labels, [L2(0.5)], **STEPS),
    "apgd": lambda model, images, labels: apgd(model, images, labels, L2(0.5), steps=4),
    "dlr": lambda model, images, labels: apgd(model, images, labels, L2(0.5), steps=4, loss="dlr"),
    "auto_attack": lambda model, images, labels: auto_attack(model, images, labels, L2(0.5), steps=4),
}
ATTACKS = CLIMBING | {"jsma": lambda model, images, labels: jsma(model, images, labels)}
DETACHED: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {
    "the whole classifier": lambda model, pixels: model(pixels).detach(),
    "its preprocessing": lambda model, pixels: model(pixels.detach()),
}
NO_LOGITS: dict[str, Callable[[nn.Module, Tensor], object]] = {
    "tuple": lambda model, pixels: (None, model(pixels)),
    "dict": lambda model, pixels: {"scores": model(pixels)},
    "NoneType": lambda model, pixels: None,
}


def refused(attack: Attack, model: Callable[[Tensor], object], images: Tensor, labels: Tensor) -> str:
    with pytest.raises(UserError) as caught:
        attack(model, images, labels)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_single_logit_is_no_classifier(parts: Parts, attack: Attack) -> None:
    model, images, labels, _ = parts(2)
    told = refused(attack, lambda pixels: model(pixels)[:, :1], images, torch.zeros_like(labels))
    assert "at least 2 classes" in told


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
@pytest.mark.parametrize("given", NO_LOGITS.values(), ids=NO_LOGITS.keys())
def test_an_answer_without_logits_is_named(
    parts: Parts, attack: Attack, given: Callable[[nn.Module, Tensor], object]
) -> None:
    model, images, labels, _ = parts(2)
    told = refused(attack, lambda pixels: given(model, pixels), images, labels)
    assert told.startswith("model: ") and type(given(model, images)).__name__ in told


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
@pytest.mark.parametrize("given", DETACHED.values(), ids=DETACHED.keys())
def test_a_classifier_without_a_gradient(
    parts: Parts, attack: Attack, given: Callable[[nn.Module, Tensor], Tensor]
) -> None:
    model, images, labels, _ = parts(2)
    assert refused(attack, lambda pixels: given(model, pixels), images, labels).startswith("model: ")


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_inference_mode_around_an_attack(parts: Parts, attack: Attack) -> None:
    model, images, labels, _ = parts(2)
    with torch.inference_mode():
        assert "inference_mode" in refused(attack, model, images, labels)


def test_a_saliency_model_without_a_gradient(parts: Parts, brightness: Callable[[Tensor], Tensor]) -> None:
    model, images, labels, foreground = parts(2)
    ball = Dual(L2(0.5), L2(0.5), foreground)
    term = {"saliency": lambda pixels: brightness(pixels).detach(), "salience_weight": 1.0}
    with pytest.raises(UserError, match=r"^saliency: [^\n]*$"):
        pgd(model, images, labels, ball, **STEPS, **term)


@pytest.mark.parametrize("attack", CLIMBING.values(), ids=CLIMBING.keys())
@pytest.mark.parametrize("label", [0, 3])
def test_a_gradient_that_is_no_number_fools_nothing(parts: Parts, attack: Attack, label: int) -> None:
    """Of pixels that are NaN a classifier says the first class, which would be a success or no attack."""
    model, images, _, _ = parts(3)
    lead = torch.zeros(4).index_fill(0, torch.tensor(label), 100.0)

    def root_of_zero(pixels: Tensor) -> Tensor:
        broken = (pixels - pixels.detach()).square().sum(dim=(1, 2, 3)).sqrt()
        return lead + model(pixels) + broken[:, None]

    result = attack(root_of_zero, images, torch.full((3,), label))
    for each in result if isinstance(result, list) else [result]:
        assert each.images.isfinite().all() and not each.success.any()


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_batchnorm_in_train_mode_is_refused(parts: Parts, attack: Attack) -> None:
    """An attack would change its statistics, and an image's outcome would depend on its batch."""
    model, images, labels, _ = parts(3)
    model[1].train()
    before = model[1].running_mean.clone()
    assert "BatchNorm2d '1' in train mode" in refused(attack, model, images, labels)
    assert torch.equal(model[1].running_mean, before)
    model[1] = nn.BatchNorm2d(8, track_running_stats=False)  # which has no statistics but the batch's
    attack(model, images, labels)


def salient(saliency: Callable[[Tensor], object], parts: Parts) -> None:
    model, images, labels, foreground = parts(2)
    ball = Dual(L2(0.5), L2(1.0), foreground)
    pgd(model, images, labels, ball, **STEPS, saliency=saliency, salience_weight=1.0)


@pytest.mark.parametrize(
    ("saliency", "mass"),
    [
        (lambda pixels: pixels.mean(dim=1).flatten(1).softmax(dim=1).view(-1, 8, 8), "65"),
        (lambda pixels: pixels.mean(dim=1) * torch.nan, "nan"),
    ],
    ids=["a density", "nan"],
)
def test_a_map_that_is_no_log_density_is_no_saliency(
    parts: Parts, saliency: Callable[[Tensor], Tensor], mass: str
) -> None:
    with pytest.raises(
        UserError, match=rf"^saliency model: found a map that sums to {mass} after exp; accep"
    ):
        salient(saliency, parts)


def test_a_saliency_model_in_train_mode_is_refused(parts: Parts) -> None:
    saliency = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(2))
    before = saliency[0].running_mean.clone()
    with pytest.raises(UserError, match=r"^saliency: found BatchNorm2d '0' in train mode; call sal"):
        salient(saliency, parts)
    assert torch.equal(saliency[0].running_mean, before)
