"""Attacks where the images are: on a card as on the CPU, and no argument of another device is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dualperturb import L2, Dual, Linf, auto_attack, jsma, nested_pgd, pgd, saliency_model
from dualperturb.errors import UserError
from tests.simulated_cuda import simulated_cuda

Parts = Callable[..., tuple[nn.Module, Tensor, Tensor, Tensor]]
COUNT = 6


def salient(model: nn.Module, images: Tensor, labels: Tensor, foreground: Tensor, loss: str) -> Any:
    ball = Dual(L2(0.2), L2(0.5), foreground)
    saliency = saliency_model("builtin")
    weighted = {"saliency": saliency, "salience_weight": 1.0, "loss": loss, "restarts": 2}
    return pgd(model, images, labels, ball, steps=4, step_size=0.3, **weighted)


ATTACKS: dict[str, Callable[[nn.Module, Tensor, Tensor, Tensor], Any]] = {
    "pgd": lambda model, images, labels, _: pgd(model, images, labels, Linf(0.02), steps=3, step_size=0.3),
    "dual pgd": lambda *given: salient(*given, "cross_entropy"),
    "dual pgd, dlr": lambda *given: salient(*given, "dlr"),
    "of a copy": lambda model, images, labels, foreground: pgd(
        model,
        images,
        labels,
        Dual(L2(0.2), Linf(0.1), foreground),
        steps=3,
        step_size=0.3,
        precision="bf16",
    ),
    "nested": lambda model, images, labels, foreground: nested_pgd(
        model, images, labels, [Dual(L2(0.1), L2(r), foreground) for r in (0.1, 0.4)], steps=3, step_size=0.3
    )[0],
    "auto": lambda model, images, labels, foreground: auto_attack(
        model, images, labels, Dual(L2(0.2), L2(0.5), foreground), steps=5
    ),
    "jsma": lambda model, images, labels, _: jsma(model, images, labels, max_share=0.05),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_card_gives_what_a_cpu_gives(
    parts: Parts, attack: Callable[[nn.Module, Tensor, Tensor, Tensor], Any]
) -> None:
    given = parts(COUNT)
    expected = attack(*given)
    with simulated_cuda():
        found = attack(*(part.to("cuda") for part in given))
        assert found.images.is_cuda and found.success.is_cuda
        assert torch.equal(found.images.cpu(), expected.images)
        assert torch.equal(found.success.cpu(), expected.success)


@pytest.mark.parametrize(
    ("name", "position", "attack"),
    [("labels", 2, attack) for attack in ATTACKS.values()]
    + [("foreground", 3, attack) for key, attack in ATTACKS.items() if key not in ("pgd", "jsma")],
)
def test_an_argument_on_another_device_is_one_line(
    parts: Parts,
    name: str,
    position: int,
    attack: Callable[[nn.Module, Tensor, Tensor, Tensor], Any],
) -> None:
    with simulated_cuda():
        given = [part.to("cuda") for part in parts(COUNT)]
        given[position] = given[position].cpu()
        with pytest.raises(UserError) as caught:
            attack(*given)
    assert str(caught.value) == f"{name}: expected on cuda:0, as the images are, got on cpu"
