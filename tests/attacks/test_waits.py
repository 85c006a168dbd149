"""How often a step waits for a GPU, counted on a CPU: whatever needs a tensor's values to go on is a wait."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from dualperturb import Linf
from dualperturb.attacks.apgd import apgd
from dualperturb.attacks.jsma import jsma
from dualperturb.attacks.nested.run import perturb_until_fooled
from dualperturb.core.objectives import Objective
from dualperturb.core.pgd import perturb

Parts = Callable[..., tuple[nn.Module, Tensor, Tensor, Tensor]]
Classifier = Callable[[Tensor], Tensor]
aten = torch.ops.aten
READING = {aten._local_scalar_dense, aten.nonzero, aten.masked_select}
INDEXING = {aten.index, aten.index_put, aten.index_put_}
COUNT, PIXELS = 48, 64
RADIUS = 0.02  # at which some images fall in each of the first steps, and some in none


class Waits(TorchDispatchMode):
    """Counts values asked for (`item`, `if tensor`), positions of true values, and indices that are masks."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        masks = func.overloadpacket in INDEXING and any(getattr(i, "dtype", 0) == torch.bool for i in args[1])
        self.count += func.overloadpacket in READING or masks
        return func(*args, **(kwargs or {}))


def pgd(model: Classifier, images: Tensor, labels: Tensor, steps: int) -> None:
    seeds = range(len(images))
    perturb(Objective(model, labels), images, Linf(RADIUS), steps=steps, step_size=0.05, seeds=seeds)


def nested(model: Classifier, images: Tensor, labels: Tensor, steps: int, copied: bool = False) -> None:
    objective = Objective(model, labels, climbed=model if copied else None)
    start = torch.zeros_like(images)
    perturb_until_fooled(objective, images, Linf(RADIUS), start, steps=steps, step_size=0.05)


def auto_pgd(model: Classifier, images: Tensor, labels: Tensor, steps: int) -> None:
    apgd(model, images, labels, Linf(RADIUS), steps=steps)


def saliency_maps(model: Classifier, images: Tensor, labels: Tensor, steps: int) -> None:
    jsma(model, images, labels, max_share=steps / PIXELS)


@pytest.mark.parametrize(
    ("attack", "standing", "falling"),
    [
        (pgd, 0, 0),
        (nested, 1, 2),
        (partial(nested, copied=True), 1, 3),
        (auto_pgd, 1, 1),
        (saliency_maps, 1, 1),
    ],
)
def test_waits_a_step(parts: Parts, attack: Callable[..., None], standing: int, falling: int) -> None:
    """standing: in a step in which no image falls; falling: at most, in one in which some do."""
    model, images, labels, _ = parts(COUNT)
    lead = torch.tensor([1000.0, 0.0, 0.0, 0.0])

    def counted(victim: Classifier, own: Tensor, steps: int) -> int:
        with Waits() as waits:
            attack(victim, images, own, steps)
        return waits.count

    def robust(pixels: Tensor) -> Tensor:
        return lead + model(pixels)

    for victim in (robust, model):
        attack(victim, images, labels, 1)  # what is asked of a model once only is none of a step's
    first, fifth = (counted(robust, torch.zeros_like(labels), steps) for steps in (1, 5))
    assert fifth - first == 4 * standing
    first, fifth = (counted(model, labels, steps) for steps in (1, 5))
    assert fifth - first <= 4 * falling
