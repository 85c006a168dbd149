"""The front page: short, its Python runs, its layout and pipeline are those of the tree."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from dualperturb.core.classifiers.networks import SmallResNet
from tests.markdown import ROOT, blocks, rows, section, text

README, LIBRARY = ROOT / "README.md", ROOT / "docs/library.md"
SOURCE = ROOT / "src/dualperturb"
_EVERY = set(YAML(typ="safe").load(text(ROOT / "dvc.yaml"))["stages"])
# One that does for `named` defences what another does for the paper's is not told by itself.
STAGES = {name for name in _EVERY if not (name.endswith("_named") and name.removesuffix("_named") in _EVERY)}
COUNT = 5


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    """What the snippets take from their reader: five images, and a classifier in train mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SmallResNet(3)
    images = torch.rand(COUNT, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    labels = model.eval()(images).argmax(dim=1)
    loader = [(images[part], labels[part]) for part in (slice(0, 3), slice(3, COUNT))]
    return {"model": model.train(), "images": images, "labels": labels, "loader": loader}


def run(snippet: str, names: dict[str, Any]) -> dict[str, Any]:
    """What is defined after a snippet, with fewer steps."""
    assert "steps=100" in snippet
    found = dict(names)
    exec(compile(snippet.replace("steps=100", "steps=3"), "a snippet", "exec"), found)
    return found


@pytest.mark.parametrize("page", [README, LIBRARY], ids=lambda page: page.stem)
def test_the_attack_on_a_batch(given: dict[str, Any], page: Any) -> None:
    found = run(blocks(page, "python")[0], given)
    assert found["adversarial"].shape == (COUNT, 3, 32, 32) and found["fooled"].dtype == torch.bool
    assert 0 < found["spent"]["foreground"].max() <= 2 * 32 / 224 * (1 + 1e-4)
    assert 2 < found["spent"]["background"].max() <= 20 * 32 / 224 * (1 + 1e-4)


def test_the_attack_on_a_whole_test_set(given: dict[str, Any]) -> None:
    first, second = blocks(LIBRARY, "python")
    found = run(second, run(first, given))
    assert found["seen"] == COUNT and 0 <= found["standing"] <= COUNT
    assert found["low"] <= found["standing"] / COUNT <= found["high"]


def test_the_front_page_is_short() -> None:
    assert len(text(README).splitlines()) <= 150
    (snippet,) = blocks(README, "python")
    assert len([line for line in snippet.splitlines() if line]) <= 5


def test_the_layout_is_that_of_the_tree() -> None:
    layout = section(README, "Layout")
    lines = layout.strip().splitlines()[1:-1]
    assert len(lines) <= 20
    named = set()
    for line in lines:
        place = SOURCE if line.startswith(" ") else ROOT
        named |= {place / name for name in re.split(r"  ", line.strip())[0].split(", ")}
    made = {ROOT / "models", ROOT / "reports"}  # by the pipeline
    assert [path for path in named - made if not path.exists()] == []
    files = re.findall(r"[\w*]+\.py", layout)
    assert [name for name in files if not any(SOURCE.rglob(name))] == []
    folders = [path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert [name for name in folders if f"{name}/" not in layout] == []


def test_the_drawn_pipeline_has_every_stage() -> None:
    (drawing,) = blocks(README, "mermaid")
    words = re.findall(r"[a-z_]+", re.sub(r"flowchart|<br>", " ", drawing))
    assert sorted(words) == sorted(STAGES)


def test_the_tables_of_stages_name_those_of_the_pipeline() -> None:
    measured = [row[2] for row in rows(ROOT / "docs/strength.md") if len(row) == 3 and row[2][0] == "`"]
    named = re.findall(r"`(\w+)`", " ".join(measured))
    assert len(named) > 8 and set(named) <= STAGES
    timed = [row[0] for row in rows(ROOT / "docs/experiments.md") if len(row) == 2]
    assert set(re.findall(r"\w+", " ".join(timed))) >= STAGES - {"train_named"}  # params.yaml names none
