"""One rank of `test_ranks`: trains and attacks with its part of the work, and writes down what it found.

python ranks_child.py FOLDER STOP_AFTER, once a rank, with RANK, WORLD_SIZE and so on as torchrun sets them.
STOP_AFTER: epochs, of two, after which it ends. Connects the ranks without Lightning Fabric, whose import
takes longer than all the rest.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from dualperturb import launch
from dualperturb.attacks.adversary import PgdAdversary
from dualperturb.core.classifiers.networks import SmallResNet
from dualperturb.core.devices import ranks
from dualperturb.core.images import ImageSet
from dualperturb.core.threat_model import ThreatModel
from dualperturb.evaluation.measuring.scoring import AttackSettings
from dualperturb.evaluation.measuring.subject import Subject
from dualperturb.evaluation.sweeps.points import points, sweep
from dualperturb.params.training import Augment, Optimiser
from dualperturb.saliency.builtin import BuiltinSaliency
from dualperturb.training.loop import TrainingSettings, train

# 45 images in batches of 14: a last batch of 3, fewer than four ranks.
OPTIMISER = Optimiser(
    batch_size=14, learning_rate=0.05, momentum=0.9, weight_decay=5e-4, schedule="one_cycle"
)
SETTINGS = TrainingSettings(OPTIMISER, Augment(pad=2, flip=True), epochs=2, warmup_epochs=0, seed=3)
ADVERSARY = PgdAdversary(ThreatModel("L2", 0.3, 1.5), steps=2, step_size=0.5)
ATTACK = AttackSettings(steps=3, step_size=0.4, restarts=1, batch_size=10, seed=1)


def image_set(count: int = 45, side: int = 16) -> ImageSet:
    """Three classes told apart, not quite, by the brightest colour channel."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 3
    images = random.integers(0, 200, (count, 3, side, side), dtype=np.uint8)
    images[np.arange(count), labels] += 12
    return ImageSet(images, labels.astype(np.int64), ("red", "green", "blue"))


def network() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return SmallResNet(3)


def work(folder: Path, stop_after: int) -> None:
    data = image_set()
    foreground = np.zeros((len(data), 1, data.side, data.side), dtype=bool)
    foreground[..., 4:12, 4:12] = True
    losses: list[float] = []
    model = network()

    def note(epoch: int, done: int, batches: int, loss: float, accuracy: float) -> None:
        if epoch == stop_after:
            raise SystemExit
        losses.append(loss)

    history = train(model, data, foreground, ADVERSARY, SETTINGS, folder / "run.pt", note)
    subject = Subject(
        model.requires_grad_(False),
        data,
        foreground,
        np.arange(40)[::-1],  # not in order: the table keeps the order asked for
        BuiltinSaliency(),
        torch.device("cpu"),
    )
    nested = points("eps_b", (0.0, 2.0, 4.0), 0.3, 0.0, 0.0, "cross_entropy")
    salient = points("salience_weight", (0.0, 1.0), 0.3, 2.0, 0.0, "cross_entropy")
    tables = [sweep(subject, panel, "L2", float, ATTACK)[1] for panel in (nested, salient)]
    if ranks.rank() == 0:
        np.save(folder / "losses.npy", [*losses, *(row.accuracy for row in history)])
        for name, table in zip(("nested", "salient"), tables, strict=True):
            table.to_csv(folder / f"{name}.csv", index=False)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if launch.world_size() > 1:
        dist.init_process_group("gloo")
    work(Path(sys.argv[1]), int(sys.argv[2]))
    if launch.world_size() > 1:
        dist.destroy_process_group()
