"""The training loop of a classifier, with the adversary as an argument.

While the adversary works, the classifier is in eval mode (BatchNorm uses its running statistics and does not
update them); the weights are updated in train mode. Every random choice of an epoch comes from (seed, epoch),
so that a run that goes on from a checkpoint ends with the weights of an undisturbed one: bit by bit on a CPU
with the same number of threads, up to the order of the device's own sums on a GPU.

Several ranks (see `ranks`) each take their part of every batch. Batches, augmentation, starts of attacks,
loss and BatchNorm are those of a process on its own, except that sums round differently. Only dropout draws
different numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from dualperturb.core.devices import ranks
from dualperturb.core.devices.precision import resolved
from dualperturb.core.images import ImageSet
from dualperturb.errors import UserError
from dualperturb.training.batches import Batches
from dualperturb.training.epoch_means import EpochMeans, diverged, read
from dualperturb.training.learner import Learner, settle
from dualperturb.training.losses import Loss, cross_entropy

if TYPE_CHECKING:
    from dualperturb.params.training import Augment, Optimiser

# (classifier, images, labels, foreground, seeds, share of the budget) -> adversarial images
Adversary = Callable[[nn.Module, Tensor, Tensor, Tensor, list[int], float], Tensor]
# (epoch from 0, batches done, batches in all, mean loss, accuracy as a fraction)
EpochProgress = Callable[[int, int, int, float, float], None]


@dataclass(frozen=True)
class TrainingSettings:
    """epochs: passes over the data; warmup_epochs: over these the adversary's budget grows from 0 to 1.

    precision: as in `precision`; with bf16 the weights stay float32 (mixed precision). loss: what the updates
    descend.
    """

    optimiser: Optimiser
    augment: Augment
    epochs: int
    warmup_epochs: float
    seed: int
    precision: str = "fp32"
    loss: Loss = cross_entropy


@dataclass(frozen=True)
class Epoch:
    """One row of the history: mean loss and accuracy on the (adversarial) training images.

    epoch: from 1; learning_rate: at the epoch's first update; accuracy: a fraction.
    """

    epoch: int
    learning_rate: float
    loss: float
    accuracy: float


def train(
    model: nn.Module,
    data: ImageSet,
    foreground: np.ndarray,
    adversary: Adversary | None,
    settings: TrainingSettings,
    checkpoint: Path,
    progress: EpochProgress,
) -> list[Epoch]:
    """Train `model` in place, on the device that it is on, and return the history, one row per epoch.

    data: a training split; foreground: bool (N, 1, H, W), shifted and flipped along with the images.
    checkpoint: file that is replaced after every epoch and from which a killed run goes on; the caller
    removes it once the result is kept, and names it after everything that the result depends on.
    Rank 0 alone writes it; every rank returns the same weights and history. Raises UserError if the masks do
    not fit the images, if a batch would hold one image alone, if the ranks find different checkpoints, and as
    soon as a loss or a weight is not finite.
    """
    _check_data(data, foreground, settings)
    device, batch_size = _device(model), settings.optimiser.batch_size
    if settings.precision != "fp32":
        chosen = resolved(settings.precision, device, model)
        settings = replace(settings, precision=settle(model, chosen, data.side))
    batches = Batches(data, foreground, settings.augment, batch_size, settings.seed, device)
    updates = settings.epochs * len(batches)
    learner = Learner(model, settings.optimiser, updates, settings.precision, settings.loss)
    history = [Epoch(**row) for row in learner.resume(checkpoint)]
    _check_alike(len(history), checkpoint)
    for epoch in range(len(history), settings.epochs):
        means = EpochMeans(epoch)
        with _own_randomness(settings.seed, epoch, device):
            steps = _steps(learner, batches, adversary, settings.warmup_epochs, epoch)
            for numbers in read(steps, behind=1 if device.type == "cuda" else 0):
                means.add(*numbers)
                progress(epoch, means.batches, len(batches), means.loss, means.accuracy)
        _check_weights(model, epoch)
        first_rate = learner.rates[-len(batches)]
        history.append(Epoch(epoch + 1, first_rate, means.loss, means.accuracy))
        if ranks.rank() == 0:
            learner.save(checkpoint, [vars(row) for row in history])
    model.eval()
    return history


def _steps(
    learner: Learner, batches: Batches, adversary: Adversary | None, warmup_epochs: float, epoch: int
) -> Iterator[Tensor]:
    """Results of `Learner.update` over one epoch, one per batch; the adversary attacks the latest weights."""
    for number, batch in enumerate(batches.epoch(epoch)):
        images = batch.images
        if adversary is not None:
            budget = _budget_share(epoch + number / len(batches), warmup_epochs)
            model = learner.model.eval()
            images = adversary(model, images, batch.labels, batch.foreground, batch.seeds, budget)
        yield learner.update(images, batch.images, batch.labels, batch.share)


def _budget_share(epochs_done: float, warmup_epochs: float) -> float:
    return 1.0 if warmup_epochs == 0 else min(1.0, epochs_done / warmup_epochs)


@contextmanager
def _own_randomness(seed: int, epoch: int, device: torch.device) -> Iterator[None]:
    """Let torch's own stream be the epoch's, as dropout takes no generator, and restore it afterwards."""
    salt = [seed, epoch, ranks.rank()] if ranks.rank() else [seed, epoch]
    drawn = int(np.random.SeedSequence(salt).generate_state(1, np.uint64)[0] >> 1)
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if on_gpu else []):
        torch.default_generator.manual_seed(drawn)
        if on_gpu:
            torch.cuda.manual_seed(drawn)
        yield


def _check_data(data: ImageSet, foreground: np.ndarray, settings: TrainingSettings) -> None:
    expected = (len(data), 1, *data.images.shape[2:])
    if foreground.shape != expected:
        raise UserError(
            f"masks: found shape {foreground.shape}, the images need {expected}; compute them again"
        )
    if min(len(data), settings.optimiser.batch_size) < 2:
        raise UserError(
            f"training: found {len(data)} images and optimiser.batch_size {settings.optimiser.batch_size}; "
            "BatchNorm needs at least 2 of each"
        )


def _check_alike(epochs_done: int, checkpoint: Path) -> None:
    """Refuse ranks that found different checkpoints, as on different disks: their weights would differ."""
    found = ranks.gathered({ranks.rank(): epochs_done})
    if len(set(found)) > 1:
        raise UserError(
            f"{checkpoint}: the ranks found {found} epochs done there; "
            "expected the same: give them one folder, on a shared disk"
        )


def _check_weights(model: nn.Module, epoch: int) -> None:
    for name, values in model.state_dict().items():
        if not torch.isfinite(values).all():
            raise diverged(f"the weights {name} are no longer finite after epoch {epoch + 1}")


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device
