"""Networks as people write them learn, too: flattening with `view`, in float32 alone, answering a mapping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dualperturb.attacks.adversary import PgdAdversary
from dualperturb.core.images import ImageSet
from dualperturb.core.threat_model import ThreatModel
from dualperturb.params.training import Augment, Optimiser
from dualperturb.training.learner import settle
from dualperturb.training.loop import TrainingSettings, train

SIDE = 8


class LeNet(nn.Module):
    """As LeNet's usual code flattens."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(256, 3)

    def forward(self, pixels: Tensor) -> Any:
        features = F.relu(self.conv(pixels))
        return self.fc(features.view(len(features), -1))


class Mapped(LeNet):
    def forward(self, pixels: Tensor) -> Any:
        return {"logits": super().forward(pixels)}


class Wide(LeNet):
    def forward(self, pixels: Tensor) -> Any:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("not implemented for 'BFloat16'")
        return super().forward(pixels)


class Small(LeNet):
    def forward(self, pixels: Tensor) -> Any:
        return self.fc(pixels.flatten(1))  # of another size than it takes


@pytest.mark.parametrize("kind", [LeNet, Mapped, Wide])
@pytest.mark.parametrize("precision", ["fp32", "auto", "bf16"])
def test_it_is_trained_against_an_adversary(tmp_path: Path, kind: type[nn.Module], precision: str) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (12, 3, SIDE, SIDE), dtype=np.uint8)
    data = ImageSet(images, np.arange(12) % 3, ("red", "green", "blue"))
    optimiser = Optimiser(batch_size=6, learning_rate=0.01, momentum=0.9, weight_decay=0, schedule="cosine")
    settings = TrainingSettings(optimiser, Augment(pad=0, flip=True), 2, 0, seed=0, precision=precision)
    adversary = PgdAdversary(ThreatModel("L2", 0.1), steps=2, step_size=0.5, precision=precision)
    model, masks = kind(), np.ones((12, 1, SIDE, SIDE), dtype=bool)
    before = model.fc.weight.detach().clone()
    train(model, data, masks, adversary, settings, tmp_path / "run.pt", lambda *_: None)
    assert not torch.equal(model.fc.weight, before)


def test_how_it_learns_is_told_of_where_it_is_not_as_asked(capsys: pytest.CaptureFixture[str]) -> None:
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 3))
    assert settle(plain, "bf16", SIDE) == "bf16" and capsys.readouterr().out == ""
    assert plain[0].weight.is_contiguous(memory_format=torch.channels_last)
    for kind, precision in ((LeNet, "bf16"), (Wide, "fp32")):
        model = kind()
        assert settle(model, "bf16", SIDE) == precision
        assert model.conv.weight.is_contiguous()
        (line,) = capsys.readouterr().out.splitlines()
        assert line.startswith("the network failed channels last (")
        assert line.endswith(f"); it learns channels first, in {precision}")


def test_a_network_that_works_in_no_way_raises_its_own_error() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        settle(Small(), "bf16", SIDE)
