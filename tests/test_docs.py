"""The documentation: its links lead somewhere, and the commands and parameters that it names are there."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import reduce
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from dualperturb import __version__, cli
from dualperturb.params import Params, load_params
from tests.markdown import PAGES, ROOT, anchors, blocks, commands, name, prose, rows, text

DATASETS = ("segment6", "cifar10", "stl10", "imagenet10", "folder", "shapes6")
BY_PAGE = pytest.mark.parametrize("page", PAGES, ids=name)


def split(command: str) -> Iterator[list[str]]:
    """The programs of a line, each with its arguments."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=";|&")
    lexer.whitespace_split, lexer.commenters = True, "#"
    for separator, words in groupby(lexer, lambda word: not word.strip(";|&")):
        if not separator:
            yield list(words)


def calls(program: str) -> list[tuple[str, list[str]]]:
    """Page and arguments of each call of a program that has any."""
    lines = ((name(page), command) for page in PAGES for command in commands(page) if program in command)
    found = ((page, words) for page, line in lines for words in split(line))
    return [(page, words[1:]) for page, words in found if words[0] == program and words[1:]]


@BY_PAGE
def test_every_link_leads_to_a_file_and_its_heading(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", prose(page)):
        file, _, anchor = target.partition("#")
        linked = (page.parent / file) if file else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@BY_PAGE
def test_every_picture_says_what_it_shows(page: Path) -> None:
    assert all(len(shown.split()) > 4 for shown in re.findall(r"!\[(.*?)\]", text(page)))


def test_every_page_is_found_by_a_question() -> None:
    index = ROOT / "docs/README.md"
    linked = {target.partition("#")[0] for target in re.findall(r"\]\(([^)]+)\)", text(index))}
    assert {page.name for page in index.parent.glob("*.md")} - {"README.md"} <= linked


def test_every_target_of_make_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", text(ROOT / "Makefile"), flags=re.MULTILINE))
    workflow = YAML(typ="safe").load(text(ROOT / ".github/workflows/test.yml"))["jobs"]["test"]
    ran = [step["run"].split()[1:] for step in workflow["steps"] if "run" in step]
    named = [words for _, words in calls("make")] + ran
    assert len(named) > 10 and {words[0] for words in named} <= targets


def test_every_command_of_ours_is_there() -> None:
    assert len(calls("dualperturb")) > 10
    for page, words in calls("dualperturb"):
        asked = CliRunner().invoke(cli.app, [*words, "--help"])
        assert asked.exit_code == 0, (page, asked.output)


def test_every_command_of_dvc_is_one_and_names_a_stage() -> None:
    parse_args = pytest.importorskip("dvc.cli", reason="the extra workflow is not installed").parse_args
    stages = YAML(typ="safe").load(text(ROOT / "dvc.yaml"))["stages"]
    assert len(calls("dvc")) > 30
    for page, words in calls("dvc"):
        assert parse_args(words), (page, words)
        for stage in re.findall(r"\b(\w+)@", " ".join(words)):
            assert stage in stages, (page, words)


def test_every_script_and_extra_is_there() -> None:
    extras = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]["optional-dependencies"]
    for page, words in calls("python"):
        paths = [word for word in words if word.startswith("tests/")]
        if words[:2] != ["-m", "pytest"]:
            paths = [f"{words[1].replace('.', '/')}.py" if words[0] == "-m" else words[0]]
        assert paths and all((ROOT / path).exists() for path in paths), (page, words)
    for page, words in calls("pip"):
        named = ",".join(re.findall(r"\[(.*?)\]", " ".join(words))).split(",")
        assert {extra for extra in named if extra} <= extras.keys(), (page, words)


def check_changed(changes: dict[str, Any]) -> None:
    """params.yaml with some values put in by their dotted keys is accepted."""
    params = YAML(typ="safe").load(text(ROOT / "params.yaml"))
    for key, value in changes.items():
        *outer, last = key.split(".")
        reduce(dict.__getitem__, outer, params)[last] = value
    Params.model_validate(params)


def test_every_override_is_accepted() -> None:
    yaml, seen = YAML(typ="safe"), 0
    for _, words in (call for call in calls("dvc") if "-S" in call[1]):
        given = [words[place + 1] for place, word in enumerate(words[:-1]) if word == "-S"]
        pairs = [pair.split("=", 1) for pair in given if "=" in pair]
        # Several values, as in `eps_b=5,10`, are queued one by one.
        check_changed(
            {key: yaml.load(value if value[0] == "[" else value.split(",")[0]) for key, value in pairs}
        )
        seen += bool(pairs)
    assert seen > 6


@BY_PAGE
def test_every_part_of_params_yaml_that_is_shown_is_accepted(page: Path) -> None:
    for block in blocks(page, "yaml"):
        for part, sections in YAML(typ="safe").load(block).items():
            for dataset, values in sections.items():
                check_changed({f"{part}.{dataset}.{key}": value for key, value in values.items()})


@BY_PAGE
def test_every_parameter_is_in_params_yaml(page: Path) -> None:
    params = load_params(ROOT / "params.yaml").model_dump(mode="json")  # with the keys that may be left out
    for key in re.findall(r"`((?:data|masks|train|evaluate|runtime|plots)\.[\w.<>]+)", prose(page)):
        assert any(has(params, key.replace("<dataset>", one).split(".")) for one in DATASETS), key


def has(place: Any, parts: list[str]) -> bool:
    return not parts or (isinstance(place, dict) and parts[0] in place and has(place[parts[0]], parts[1:]))


def test_every_test_that_holds_a_rule_is_there() -> None:
    held = [row[1] for row in rows(ROOT / "CONTRIBUTING.md") if len(row) == 2 and "tests/" in row[1]]
    files = re.findall(r"`(tests/[\w/.]+)`", " ".join(held))
    assert len(files) > 10 and [file for file in files if not (ROOT / file).is_file()] == []


def test_the_citation_is_of_this_version() -> None:
    citation = YAML(typ="safe").load(text(ROOT / "CITATION.cff"))
    project = tomllib.loads(text(ROOT / "pyproject.toml"))["project"]
    assert citation["version"] == __version__ == project["version"]
    assert citation["license"] == project["license"]
    assert citation["references"][0]["url"] in text(ROOT / "README.md")
