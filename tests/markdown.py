"""The pages in Markdown, and what stands in them: headings, code blocks, commands, rows of tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "data/raw").glob("*/README.md"),
    ]
)
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    """The contents of the fenced blocks of that language."""
    return [block for _, found, block in _FENCE.findall(text(page)) if found == language]


def prose(page: Path) -> str:
    return _FENCE.sub("", text(page))


def anchors(page: Path) -> set[str]:
    """What a link may name after #, as GitHub makes it of a heading."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def section(page: Path, heading: str) -> str:
    """What stands below a heading, up to the next one of its level."""
    return re.split(rf"^## {re.escape(heading)}\n", text(page), flags=re.MULTILINE)[1].split("\n## ")[0]


def rows(page: Path) -> list[list[str]]:
    """The cells of every line of every table."""
    lines = (line for line in prose(page).splitlines() if line.startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def commands(page: Path) -> Iterator[str]:
    """Lines of the shell: after $ in console blocks, in scripts, indented, and as code in a sentence."""
    for block in blocks(page, "console"):
        lines = block.replace("\\\n", " ").splitlines()
        yield from (line[2:] for line in lines if line.startswith("$ "))
    for block in blocks(page, "bash"):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"^ {4}(\w+ .+)$", prose(page), flags=re.MULTILINE)
    yield from (" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(page)))
