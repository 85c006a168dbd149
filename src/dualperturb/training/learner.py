"""The learner: a classifier, its optimiser and the schedule of the learning rate.

The optimiser is made for the first update, not before the first attack: to make one, torch imports its own
compiler, which takes longer than all that a training stage does before.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from dualperturb.core.devices import ranks
from dualperturb.core.devices.memory import out_of_memory, told
from dualperturb.core.devices.precision import mixed
from dualperturb.core.shown import logits_in
from dualperturb.training.checkpoint import load_checkpoint, save_checkpoint
from dualperturb.training.losses import Loss
from dualperturb.training.sync_batch_norm import sync_batch_norm

if TYPE_CHECKING:
    from dualperturb.params.training import Optimiser


def settle(model: nn.Module, precision: str, side: int) -> str:
    """Lay the model's weights out channels last if it works so, and return the number type in which it works.

    precision: "fp32", or "bf16" for mixed precision; side: pixels of an image. A network may need channels
    first, as one that flattens with `view` does, or float32: then one line says so. Leaves the model in eval
    mode. Raises what the network raises if it works in no way.
    """
    ways = [(torch.channels_last, precision), (torch.contiguous_format, precision)]
    failed: list[Exception] = []
    for layout, chosen in dict.fromkeys([*ways, (torch.contiguous_format, "fp32")]):
        try:
            _pass(model.to(memory_format=layout).eval(), chosen, side)
        except Exception as error:  # networks raise many types
            if out_of_memory(error):
                raise
            failed.append(error)
            continue
        if failed and ranks.rank() == 0:
            fault = f"the network failed channels last ({told(failed[0])})"
            print(f"{fault}; it learns channels first, in {chosen}", flush=True)
        return chosen
    raise failed[0]


@torch.no_grad()
def _pass(model: nn.Module, precision: str, side: int) -> None:
    device = next(model.parameters()).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []), mixed(precision, device):
        logits_in(model(torch.zeros(2, 3, side, side, device=device)))


@dataclass
class Learner:
    """updates: of the whole training; precision: "fp32", or "bf16" for mixed precision; loss: see `losses`.

    rates: the learning rate of each update so far, without those before a checkpoint.
    """

    model: nn.Module
    settings: Optimiser
    updates: int
    precision: str
    loss: Loss
    rates: list[float] = field(default_factory=list, init=False)

    def update(self, images: Tensor, clean: Tensor, labels: Tensor, share: float) -> Tensor:
        """Take one step of the optimiser on this rank's part of a batch; return the whole batch's numbers.

        images, clean: the part's images as the adversary left them, and as they were. share: the part's size
        as a fraction of the batch. The numbers are those before the step, float64 (3,) on the device, without
        waiting for it: mean loss, images classified correctly and images in all. They are sums over all
        ranks, and so are the gradients.
        """
        model = self.model.train()
        with mixed(self.precision, images.device), sync_batch_norm(model, counts=share > 0):
            loss, logits = self.loss(model, images, clean, labels)
        loss = loss * share
        model.zero_grad(set_to_none=True)
        loss.backward()
        ranks.sum_gradients(model)
        self._step()
        counted = len(labels) if share else 0
        sums = torch.full((3,), counted, dtype=torch.float64, device=images.device)
        sums[0] = loss.detach()
        sums[1] = (logits.argmax(dim=1) == labels)[:counted].sum()
        return ranks.summed(sums)

    def resume(self, checkpoint: Path) -> list[dict[str, Any]]:
        """Go on from the file, if there is one; return its history. Raises UserError if it is damaged."""
        return load_checkpoint(checkpoint, self.model, *self._optimiser) if checkpoint.exists() else []

    def save(self, checkpoint: Path, history: list[dict[str, Any]]) -> None:
        save_checkpoint(checkpoint, self.model, *self._optimiser, history)

    def _step(self) -> None:
        optimiser, schedule = self._optimiser
        self.rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()

    @cached_property
    def _optimiser(self) -> tuple[torch.optim.Optimizer, LRScheduler]:
        chosen = self.settings
        optimiser = torch.optim.SGD(
            self.model.parameters(),
            lr=chosen.learning_rate,
            momentum=chosen.momentum,
            weight_decay=chosen.weight_decay,
            nesterov=chosen.momentum > 0,
        )
        if chosen.schedule == "cosine":
            return optimiser, CosineAnnealingLR(optimiser, self.updates)
        # One step more than is taken: the scheduler is stepped once after the last update, too.
        return optimiser, OneCycleLR(
            optimiser, chosen.learning_rate, self.updates + 1, pct_start=0.3, cycle_momentum=False
        )
