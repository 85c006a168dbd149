"""File names and texts are the same in every locale, and printing them never ends a command."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from dualperturb.core.images import load_meta, write_meta, write_split

ROOT = Path(__file__).resolve().parents[1]
POSIX = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
CLASSES = ("Möwe", "鷺")


def run(folder: Path, environment: dict[str, str], *arguments: str) -> str:
    """What a program that ends well printed."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_"))}
    paths = {"PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}
    command = [sys.executable, *arguments]
    ended = subprocess.run(command, cwd=folder, env=clean | paths | environment, capture_output=True)
    assert ended.returncode == 0, ended.stderr.decode()
    return ended.stdout.decode("latin-1")


def test_photographs_are_prepared_in_a_locale_without_utf8(tmp_path: Path) -> None:
    yaml = YAML()
    params = yaml.load(ROOT / "params.yaml")
    params["datasets"] = ["folder"]
    params["folder"]["data"] |= {"classes": {CLASSES[1]: "egret", CLASSES[0]: "gull"}, "side": 32}
    params["folder"]["evaluate"] |= {"n": 2, "examples": [0]}
    yaml.dump(params, tmp_path / "params.yaml")
    for split in ("train", "val"):
        for name in CLASSES:
            folder = tmp_path / "data/raw/folder" / split / name
            folder.mkdir(parents=True)
            for number in range(2):
                Image.new("RGB", (40, 40), (number, 90, 9)).save(folder / f"{number} 鷺.png")
    run(tmp_path, POSIX, "-m", "stages.prepare", "folder")
    assert load_meta(tmp_path / "data/prepared/folder")["folders"] == [CLASSES[1], CLASSES[0]]


@pytest.mark.parametrize("environment", [POSIX, {"PYTHONIOENCODING": "latin-1"}])
def test_a_name_that_the_terminal_lacks_is_escaped(tmp_path: Path, environment: dict[str, str]) -> None:
    prepared = tmp_path / "鷺"
    prepared.mkdir()
    row = (np.full((3, 4, 4), 9, np.uint8), 0, np.ones((1, 4, 4), np.bool_))
    splits = {split: write_split(prepared, split, 4, [row]) for split in ("train", "test")}
    skipped = ["train/鷺/x.jpg: no image"]
    meta = {"name": "folder", "side": 4, "source": "photographs", "skipped": skipped}
    write_meta(prepared, class_names=list(CLASSES), folders=list(CLASSES), splits=splits, **meta)
    command = ("data", "check", "folder", "--prepared", "鷺", "--sheet", "鷺.png")
    printed = run(tmp_path, environment, "-c", "from dualperturb.cli import main; main()", *command)
    assert (tmp_path / "鷺.png").exists()
    assert "\\u9dfa" in printed and "skipped: train/" in printed


def without_encoding(tree: ast.AST) -> Iterator[int]:
    """The lines of calls that open a text file, or read a program's output, as the locale has it."""
    others = ("os.open", "Image.open", "tarfile.open")
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call) or "encoding" in (given := {word.arg for word in call.keywords}):
            continue
        name = ast.unparse(call.func)
        opens = name.rpartition(".")[2] == "open" and name not in others
        binary = any(isinstance(mode, ast.Constant) and "b" in str(mode.value) for mode in call.args)
        whole = name.endswith((".read_text", ".write_text"))
        if opens and not binary or whole or name.startswith("subprocess.") and "text" in given:
            yield call.lineno


def test_every_text_file_is_opened_with_its_encoding() -> None:
    wrong = "p.open('w'); open(p); p.read_text(); p.write_text(x); subprocess.run(x, text=True)"
    assert len(list(without_encoding(ast.parse(wrong)))) == 5
    files = [file for part in ("src", "stages", "benchmarks") for file in (ROOT / part).rglob("*.py")]
    found = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in files
        for line in without_encoding(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert found == []
