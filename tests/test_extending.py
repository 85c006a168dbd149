"""docs/extending.md: its snippets run, and the files and names that it speaks of are there."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dualperturb import L1, L2, Dual, foreground_score, pgd
from dualperturb.core.classifiers.networks import SmallResNet
from dualperturb.core.images import write_split
from dualperturb.core.threat_model import ThreatModel
from dualperturb.figures.panel import DrawnFrom, ToldFrom
from tests.small_tables import CERTIFICATE, FIGURES, Look, small_results
from tests.test_training import SETTINGS, network, trained

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
PROSE = re.sub(r"^ *```.*?^ *```", "", TEXT, flags=re.MULTILINE | re.DOTALL)
CODE = [
    *(ROOT / "src").rglob("*.py"),
    *(ROOT / "stages").glob("*.py"),
    *(ROOT / name for name in ("dvc.yaml", "params.yaml", "tests/pipeline/test_dependencies.py")),
]
# What the reader makes, and what the pipeline does.
OWN = {
    *("blobs", "BlobsData", "Between", "strongest"),
    *("trades", "TradesAdversary", "TradesTraining", "train_trades"),
}
OWN_FILES = {
    f"{name}.py"
    for name in (
        "datasets/blobs",
        "saliency/small_cnn",
        "attacks/momentum",
        "figures/strongest",
        "core/norms/between",
        "trades",
    )
}
MADE = {"data/raw/blobs", "checkpoints/", "reports/results.csv"}


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """All that the snippets define, by name."""
    names: dict[str, Any] = {"__name__": __name__}  # where dataclasses look their annotations up
    for snippet in SNIPPETS:
        exec(compile("from __future__ import annotations\n" + snippet, "docs/extending.md", "exec"), names)
    return names


@pytest.fixture(scope="module")
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images (6, 3, 32, 32), labels, masks."""
    images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    foreground = torch.zeros(6, 1, 32, 32, dtype=torch.bool)
    foreground[:, :, 8:24, 8:24] = True
    return images, torch.arange(6) % 3, foreground


@pytest.fixture(scope="module")
def model() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SmallResNet(3).eval()


def test_the_reader_gives_rows_of_a_prepared_split(made: dict[str, Any], tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "train.npz", images=images, labels=[0, 1, 2, 0], masks=images[..., 0] > 127)
    entry = write_split(tmp_path / "out", "train", 8, made["read"](tmp_path, "train"))
    assert entry["counts_by_label"] == [2, 1, 1]
    assert np.array_equal(np.load(tmp_path / "out/train.images.npy")[1, 2], images[1, :, :, 2])
    assert np.array_equal(np.load(tmp_path / "out/train.foreground.npy")[:, 0], images[..., 0] > 127)


def test_the_saliency_model_is_read_from_its_file_and_climbed(
    made: dict[str, Any], batch: Any, model: nn.Module, tmp_path: Path
) -> None:
    images, labels, foreground = batch
    layers = nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 1, 5, padding=2))
    weights = {f"layers.{name}": value for name, value in layers.state_dict().items()}
    save_file(weights, tmp_path / "cnn.safetensors")
    saliency = made["SmallCnnSaliency"](str(tmp_path / "cnn.safetensors"))
    assert torch.allclose(saliency(images).exp().sum((1, 2)), torch.ones(6))
    ball = Dual(L2(0.5), L2(3.0), foreground)
    found = pgd(
        model, images, labels, ball, steps=5, step_size=0.3, saliency=saliency, salience_weight=100.0
    ).images
    before, after = (foreground_score(saliency(seen), foreground).mean() for seen in (images, found))
    assert after > before


def test_the_architecture_makes_logits(made: dict[str, Any], batch: Any) -> None:
    assert made["SmallViT"](5)(batch[0]).shape == (6, 5)


def test_the_norm_climbs_and_stays_in_its_ball_alone_and_in_a_region(
    made: dict[str, Any], batch: Any, model: nn.Module
) -> None:
    images, labels, foreground = batch
    between = made["Between"]
    gradient = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    slope = (between(3.0).ascend(gradient, 0.5) * gradient).flatten(1).sum(1)
    torch.testing.assert_close(slope, 1.5 * gradient.flatten(1).norm(p=3, dim=1))  # Hoelder's bound
    balls = [between(3.0), *(Dual(between(1.0), part, foreground) for part in (between(9.0), L1(9.0)))]
    for ball in balls:
        nearest, other = ball.project(gradient), ball.start(images, range(10, 16))
        obtuse = ((gradient - nearest) * (other - nearest)).flatten(1).sum(1)
        assert (obtuse <= 1e-4 * (gradient - nearest).flatten(1).norm(dim=1)).all()
        found = pgd(model, images, labels, ball, steps=5, step_size=0.3).images
        for region, spent in ball.norms(found - images).items():
            assert spent.max() <= {"image": 3.0, "foreground": 1.0, "background": 9.0}[region] * (1 + 1e-4)
        before, after = (nn.functional.cross_entropy(model(seen), labels) for seen in (images, found))
        assert after > before


def test_the_attack_stays_in_its_ball_and_raises_the_loss(
    made: dict[str, Any], batch: Any, model: nn.Module
) -> None:
    images, labels, foreground = batch
    ball = Dual(L2(0.5), L2(3.0), foreground)
    found = made["momentum_pgd"](
        model, images, labels, ball, steps=5, step_size=0.3, seed=0, indices=range(6)
    )
    spent = ball.norms(found - images)
    assert spent["foreground"].max() <= 0.5 * (1 + 1e-4) and spent["background"].max() <= 3.0 * (1 + 1e-4)
    before, after = (nn.functional.cross_entropy(model(seen), labels) for seen in (images, found))
    assert after > before


def test_the_defences_adversary_climbs_the_divergence(
    made: dict[str, Any], batch: Any, model: nn.Module
) -> None:
    images, labels, foreground = batch
    adversary = made["TradesAdversary"](ThreatModel("L2", 0.5, 3.0), 5, 0.3)
    found = adversary(model, images, labels, foreground, list(range(6)), 1.0)
    apart = made["divergence"](model(found), model(images))
    start = (images + Dual(L2(0.5), L2(3.0), foreground).start(images, list(range(6)))).clamp(0, 1)
    assert (apart > made["divergence"](model(start), model(images))).all()
    loss, logits = made["TradesLoss"](beta=6.0)(model, found, images, labels)
    plain = nn.functional.cross_entropy(model(images), labels)
    assert torch.allclose(loss, plain + 6 * apart.mean()) and torch.equal(logits, model(found))


def test_the_defence_trains(made: dict[str, Any], tmp_path: Path) -> None:
    adversary = made["TradesAdversary"](ThreatModel("L2", 0.3, 3.0), 2, 0.5)
    settings = replace(SETTINGS, epochs=6, loss=made["TradesLoss"](beta=1.0))
    _, history = trained(tmp_path, settings, adversary, network(dropout=0))
    assert history[-1].loss < history[0].loss and history[0].accuracy < history[-1].accuracy


def test_the_panel_is_drawn_and_told_where_it_was_measured(made: dict[str, Any]) -> None:
    results = small_results()
    (panel,) = made["panels"](results, FIGURES)
    given = DrawnFrom(results, {}, {}, Look())
    assert len(panel.draw(given).axes[0].patches) == 6
    told = ToldFrom(results, {}, CERTIFICATE)
    assert "50 images or more" in panel.caption(told) and len(panel.table(told)) == 6
    assert made["panels"](results[results["attack"] != "dual_autoattack"], FIGURES) == []


def test_every_file_is_there() -> None:
    quoted = set(re.findall(r"`([\w./]+)`", PROSE))
    named = {name for name in quoted if "/" in name or name.endswith((".py", ".yaml"))}
    assert named > OWN_FILES | MADE
    roots = (ROOT, ROOT / "src/dualperturb")
    looked_for = named - OWN_FILES - MADE
    assert {name for name in looked_for if not any((root / name).exists() for root in roots)} == set()


def test_every_name_is_there() -> None:
    quoted = re.findall(r"`(?:class )?([A-Za-z_][\w.]*)(?:\(.*?\))?`", PROSE)
    names = {name.rsplit(".", 1)[-1] for name in quoted if not name.endswith((".py", ".yaml"))}
    assert names > OWN
    known = "\n".join(path.read_text(encoding="utf-8") for path in CODE)
    assert {name for name in names - OWN if not re.search(rf"\b{name}\b", known)} == set()
