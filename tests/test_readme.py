"""The README's Python runs as it stands there, and its files are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from dualperturb.core.classifiers.networks import SmallResNet

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)
COUNT = 5


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the snippets leave, run one after the other on five images, with fewer steps."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SmallResNet(3)
    images = torch.rand(COUNT, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    labels = model.eval()(images).argmax(dim=1)
    loader = [(images[rows], labels[rows]) for rows in (slice(0, 3), slice(3, COUNT))]
    found: dict[str, Any] = {"model": model.train(), "images": images, "labels": labels, "loader": loader}
    for snippet in SNIPPETS:
        assert "steps=100" in snippet
        exec(compile(snippet.replace("steps=100", "steps=3"), "README.md", "exec"), found)
        found.setdefault("first", dict(found))
    return found


def test_one_batch(names: dict[str, Any]) -> None:
    first = names["first"]
    assert first["adversarial"].shape == (COUNT, 3, 32, 32) and first["fooled"].dtype == torch.bool
    assert first["spent"]["foreground"].max() <= 2 * 32 / 224 * (1 + 1e-4)
    assert first["spent"]["background"].max() <= 20 * 32 / 224 * (1 + 1e-4)


def test_a_whole_test_set(names: dict[str, Any]) -> None:
    assert names["seen"] == COUNT and 0 <= names["standing"] <= COUNT
    assert names["low"] <= names["standing"] / COUNT <= names["high"]


def test_every_link_leads_to_a_file() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT)
    assert len(targets) > 8
    assert [target for target in targets if not (ROOT / target).exists()] == []
