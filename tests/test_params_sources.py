"""Sources of the values in params.yaml: "paper" or "ours" beside each, or beside a section around it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from dualperturb.params import DATASETS

TEXT = (Path(__file__).resolve().parents[1] / "params.yaml").read_text(encoding="utf-8")
KEY = re.compile(r"( *)(\w+):([^#]*)(#.*)?")


def unsourced(text: str) -> Iterator[str]:
    """The dotted keys of values whose source is named nowhere."""
    path: list[str] = []
    named: list[bool] = []
    lines = text.splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if found := KEY.fullmatch(line):
            indent, key, value, comment = found.groups()
            depth = len(indent) // 2
            path[depth:] = [key]
            named[depth:] = [re.search(r"\b(paper|ours)\b", comment or "") is not None]
            holds = value.strip() or following.lstrip().startswith("- ")
            if holds and not any(named):
                yield ".".join(path)


def test_every_default_of_a_data_set_names_its_source() -> None:
    found = [key for key in unsourced(TEXT) if key.partition(".")[0] in DATASETS]
    assert found == []


def test_a_value_without_a_source_is_found() -> None:
    values = "a:  # ours\n  b: 1\nc:\n  d: 2  # paper: 3\n  e:\n    f: 4  # pixels\n"
    lists = "    g:\n    - 5\n  h:  # ours\n  - 6\n"
    assert list(unsourced(values + lists)) == ["c.e.f", "c.e.g"]
