"""What the attack leaves alone, and what it refuses."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dualperturb import L2, Dual, Linf, UserError, auto_attack, jsma, nested_pgd, pgd

Parts = Callable[..., tuple[nn.Module, Tensor, Tensor, Tensor]]


@pytest.mark.parametrize("training", [True, False])
def test_the_callers_things_are_left_as_they_were(parts: Parts, training: bool) -> None:
    model, images, labels, foreground = parts()
    model.train(training)
    model[1].eval()
    model[0].weight.requires_grad_(False)
    model[5].weight.grad = torch.full_like(model[5].weight, 7.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images.requires_grad_(True)
    pixels = images.detach().clone()
    streams = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()

    result = pgd(
        model, images, labels, Dual(L2(0.5), L2(0.5), foreground), steps=2, step_size=0.5, restarts=2
    )

    assert torch.equal(torch.get_rng_state(), streams[0])
    assert np.random.get_state()[1].tolist() == streams[1] and random.getstate() == streams[2]
    assert model.training is training and not model[1].training
    assert not model[0].weight.requires_grad and model[5].weight.requires_grad
    assert (model[5].weight.grad == 7).all() and model[5].bias.grad is None
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert images.requires_grad and images.grad is None and torch.equal(images.detach(), pixels)
    assert not result.images.requires_grad and not result.success.requires_grad


def test_it_works_where_gradients_are_switched_off(parts: Parts) -> None:
    model, images, labels, _ = parts(3)
    with torch.no_grad():
        inside = pgd(model, images, labels, L2(1.0), steps=2, step_size=0.5)
    assert torch.equal(inside.images, pgd(model, images, labels, L2(1.0), steps=2, step_size=0.5).images)


def test_no_images_at_all(parts: Parts) -> None:
    model, images, labels, foreground = parts(2)
    ball = Dual(L2(1.0), Linf(0.1), foreground[:0])
    result = pgd(model, images[:0], labels[:0], ball, steps=2, step_size=0.5)
    assert result.images.shape == (0, 3, 8, 8) and result.success.shape == (0,)


GOOD = torch.full((2, 3, 8, 8), 0.5)
LABELS = torch.tensor([0, 3])
NOT_A_NUMBER = torch.where(torch.arange(8) == 3, float("nan"), 0.5).expand(2, 3, 8, 8)
MISTAKES = {
    "too bright": ("images", {"images": GOOD * 2.1}),
    "too dark": ("images", {"images": GOOD - 0.6}),
    "0..255": ("images", {"images": (GOOD * 255).to(torch.uint8)}),
    "not a number": ("images", {"images": NOT_A_NUMBER}),
    "an array": ("images", {"images": GOOD.numpy()}),
    "one image without its batch": ("images", {"images": GOOD[0]}),
    "label of no class": ("labels", {"labels": torch.tensor([0, 4])}),
    "negative label": ("labels", {"labels": torch.tensor([0, -100])}),
    "too few labels": ("labels", {"labels": LABELS[:1]}),
    "float labels": ("labels", {"labels": LABELS.float()}),
    "labels in a list": ("labels", {"labels": [0, 3]}),
    "labels in an array": ("labels", {"labels": LABELS.numpy()}),
    "labels a column": ("labels", {"labels": LABELS[:, None]}),
    "no steps": ("steps", {"steps": 0}),
    "half a step": ("steps", {"steps": 2.5}),
    "steps as text": ("steps", {"steps": "2"}),
    "no restarts": ("restarts", {"restarts": 0}),
    "no step renews": ("salience_every", {"salience_every": 0}),
    "step size 0": ("step_size", {"step_size": 0.0}),
    "step size as text": ("step_size", {"step_size": "0.5"}),
    "step size nan": ("step_size", {"step_size": float("nan")}),
    "too few indices": ("indices", {"indices": [5]}),
    "negative index": ("indices", {"indices": [0, -1]}),
    "index with a fraction": ("indices", {"indices": [0, 1.5]}),
    "index as text": ("indices", {"indices": ["0", "1"]}),
    "seed with a fraction": ("seed", {"seed": 0.5}),
    "no seed": ("seed", {"seed": None}),
    "negative seed": ("seed", {"seed": -1}),
    "weight without saliency": ("salience_weight", {"salience_weight": 1.0}),
    "a saliency model's name": ("saliency", {"salience_weight": 1.0, "saliency": "builtin"}),
    "unknown loss": ("loss", {"loss": "bold"}),
    "unknown precision": ("precision", {"precision": "fp16"}),
    "unknown precision where no copy is made": (
        "precision",
        {
            "precision": "fp16",
            "min_foreground_score": "clean",
            "ball": Dual(L2(1.0), L2(1.0), torch.ones(2, 1, 8, 8, dtype=torch.bool)),
            "saliency": lambda x: x.mean(1).flatten(1).log_softmax(1).view(-1, 8, 8),
        },
    ),
    "weight without mask": (
        "salience_weight",
        {"salience_weight": 1.0, "ball": L2(1.0), "saliency": lambda x: x.mean(1)},
    ),
    "negative weight": ("salience_weight", {"salience_weight": -1.0, "saliency": lambda x: x.mean(1)}),
    "weight as text": ("salience_weight", {"salience_weight": "1", "saliency": lambda x: x.mean(1)}),
    "weight nan": ("salience_weight", {"salience_weight": float("nan"), "saliency": lambda x: x.mean(1)}),
    "a radius for a ball": ("ball", {"ball": 1.0}),
    "a ball without a radius": ("ball", {"ball": L2}),
    "mask of other images": (
        "foreground",
        {"ball": Dual(L2(1.0), L2(1.0), torch.ones(3, 1, 8, 8, dtype=torch.bool))},
    ),
}


@pytest.mark.parametrize(("names", "wrong"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_that_names_the_argument(
    parts: Parts, names: str, wrong: dict[str, object]
) -> None:
    model, _, _, foreground = parts(2)
    ball = Dual(L2(1.0), L2(1.0), foreground)
    arguments = {"images": GOOD, "labels": LABELS, "ball": ball, "steps": 1, "step_size": 0.5} | wrong
    with pytest.raises(UserError) as caught:
        pgd(model, **arguments)
    assert str(caught.value).startswith(f"{names}: ") and "\n" not in str(caught.value)


OF_SWEEPS = {
    name: (names, wrong)
    for name, (names, wrong) in MISTAKES.items()
    if not {"salience_weight", "salience_every", "min_foreground_score"} & set(wrong)
}


@pytest.mark.parametrize(("names", "wrong"), OF_SWEEPS.values(), ids=OF_SWEEPS.keys())
def test_a_sweep_tells_of_the_same_mistakes(parts: Parts, names: str, wrong: dict[str, object]) -> None:
    model, _, _, foreground = parts(2)
    given = {"images": GOOD, "labels": LABELS, "steps": 1, "step_size": 0.5} | wrong
    ball = given.pop("ball", Dual(L2(1.0), L2(1.0), foreground))
    with pytest.raises(UserError) as caught:
        nested_pgd(model, balls=[ball], **given)
    assert str(caught.value).startswith(f"{names}: ") and "\n" not in str(caught.value)


def test_what_float32_rounds_past_the_range_is_clipped(parts: Parts) -> None:
    """As resizing with antialiasing makes of ones 1 + 1.2e-7."""
    model, images, labels, _ = parts(3)
    images[0, :, :4], images[1, :, :4] = 1.0, 0.0
    past = images.clone()
    past[0, :, :4], past[1, :, :4] = 1 + 2.4e-7, -2.4e-7
    attacks: list[Callable[[Tensor], Any]] = [
        lambda seen: pgd(model, seen, labels, L2(0.5), steps=2, step_size=0.5),
        lambda seen: nested_pgd(model, seen, labels, [L2(0.5)], steps=2, step_size=0.5)[0],
        lambda seen: auto_attack(model, seen, labels, L2(0.5), steps=2),
        lambda seen: jsma(model, seen, labels),
    ]
    for attack in attacks:
        assert torch.equal(attack(past).images, attack(images).images)
    assert past.max() > 1 and past.min() < 0, "the caller's own"
    fooled = auto_attack(model, past, (labels + 1) % 4, L2(0.5), steps=2).fooled_by
    assert set(fooled) == {"clean"}, "nor does clipping count as a perturbation"


@pytest.mark.parametrize(("value", "told"), [(1.00001, "0.5 to 1.00001"), (-2e-6, "-2e-06 to 0.5")])
def test_what_lies_farther_out_is_refused_with_digits_that_show_it(
    parts: Parts, value: float, told: str
) -> None:
    model, images = parts(2)[0], GOOD.clone()
    images[0, 0, 0, 0] = value
    with pytest.raises(UserError, match=rf"^images: expected pixels in \[0, 1\], got values from {told}$"):
        pgd(model, images, LABELS, L2(0.5), steps=1, step_size=0.5)


def test_radii_that_differ_by_rounding_are_nested(parts: Parts) -> None:
    model, images, labels, _ = parts(2)
    balls = [L2(0.1 + 0.2), L2(0.3)]
    assert balls[0].radius > balls[1].radius
    assert len(nested_pgd(model, images, labels, balls, steps=1, step_size=0.5)) == 2
    with pytest.raises(UserError, match="^balls: found number 0 not inside number 1"):
        nested_pgd(model, images, labels, [L2(0.301), L2(0.3)], steps=1, step_size=0.5)
