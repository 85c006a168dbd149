"""Training beside the plain loop that it stands for, written out image by image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dualperturb.core.images import ImageSet
from dualperturb.training import loop as training
from dualperturb.training.epoch_means import read
from dualperturb.training.loop import TrainingSettings
from tests.test_training import ADVERSARIES, SETTINGS, image_set, masks, network, same, trained


def plain_loop(
    settings: TrainingSettings, adversary: object, data: ImageSet
) -> tuple[nn.Module, list[float]]:
    """What training means, written out: the classifier and the mean loss of each batch."""
    model, losses, foreground = network(dropout=0), [], masks(data)
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, nesterov=True)
    count, pad = len(data), settings.augment.pad
    starts = range(16, count, 16)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 0.05, settings.epochs * (len(starts) + 1) + 1, cycle_momentum=False
    )
    for epoch in range(settings.epochs):
        random = np.random.default_rng([settings.seed, epoch])
        for number, chosen in enumerate(np.split(random.permutation(count), starts)):
            shifts = random.integers(0, 2 * pad + 1, (2, len(chosen)))
            mirrored = random.random(len(chosen)) < 0.5
            seeds = random.integers(0, 2**62, len(chosen)).tolist()
            pixels, regions = [], []
            for image, (down, right), mirror in zip(chosen, shifts.T, mirrored, strict=True):
                around, window = (
                    ((0, 0), (pad, pad), (pad, pad)),
                    np.s_[:, down : down + 16, right : right + 16],
                )
                step = np.s_[:, :, :: -1 if mirror else 1]
                pixels.append(np.pad(data.images[image], around, mode="edge")[window][step])
                regions.append(np.pad(foreground[image], around)[window][step])
            images = torch.from_numpy(np.stack(pixels)).float() / 255
            labels, regions = torch.from_numpy(data.labels[chosen]), torch.from_numpy(np.stack(regions))
            if adversary is not None:
                share = min(1.0, (epoch + number / (len(starts) + 1)) / settings.warmup_epochs)
                images = adversary(model.eval(), images, labels, regions, seeds, share)  # type: ignore[operator]
            loss = nn.functional.cross_entropy(model.train()(images), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
    return model, losses


@pytest.mark.parametrize("defence", ADVERSARIES)
@pytest.mark.parametrize("behind", [0, 1])
def test_training_is_the_plain_loop_bit_by_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, defence: str, behind: int
) -> None:
    """Also where the numbers are read one batch late, as from a GPU."""
    monkeypatch.setattr(training, "read", lambda steps, **_: read(steps, behind))
    settings, data, calls = replace(SETTINGS, warmup_epochs=1.5), image_set(40), []
    state, history = trained(
        tmp_path,
        settings,
        ADVERSARIES[defence],
        network(dropout=0),
        data,
        lambda *call: calls.append(call),
    )
    model, losses = plain_loop(settings, ADVERSARIES[defence], data)
    assert same(state, model.state_dict())
    assert [call[:3] for call in calls] == [(epoch, done, 3) for epoch in (0, 1) for done in (1, 2, 3)]
    for epoch in (0, 1):
        first, second, third = losses[3 * epoch : 3 * epoch + 3]
        assert calls[3 * epoch][3] == first
        assert history[epoch].loss == pytest.approx((16 * first + 16 * second + 8 * third) / 40, rel=1e-12)
