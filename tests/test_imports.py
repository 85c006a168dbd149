"""The folders of the library import each other one way, as CONTRIBUTING.md says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src/dualperturb"
RULE = next(line for line in (ROOT / "CONTRIBUTING.md").read_text("utf-8").splitlines() if "one way" in line)
CHAINS = [re.findall(r"\w+", chain) for chain in re.findall(r"`\w+`(?: → `\w+`)+", RULE)]


def modules(path: Path) -> Iterator[str]:
    """The modules that a file imports anywhere, also for type checks alone."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """Folder, or module at the top -> those that its files import."""
    found: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        names = {name.split(".")[1] for name in modules(path) if name.startswith("dualperturb.")}
        known = {name for name in names if (SOURCE / name).is_dir() or (SOURCE / f"{name}.py").is_file()}
        found.setdefault(own, set()).update(known - {own})
    return found


def test_there_is_no_circle(imported: dict[str, set[str]]) -> None:
    assert list(TopologicalSorter(imported).static_order())


def test_the_order_is_the_one_that_is_written_down(imported: dict[str, set[str]]) -> None:
    assert len(CHAINS) == 2 and {name for chain in CHAINS for name in chain} <= imported.keys()

    def reached(start: str) -> set[str]:
        return {start}.union(*(reached(name) for name in imported[start]))

    upwards = [(low, high) for chain in CHAINS for high, low in pairwise(chain) if high in reached(low)]
    assert upwards == []


def test_the_library_knows_no_stage() -> None:
    outside = {"stages", "tests", "benchmarks"}
    found = {path.name for path in SOURCE.rglob("*.py") if outside & {m.split(".")[0] for m in modules(path)}}
    assert found == set()
