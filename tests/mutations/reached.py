"""Copies of the tree, and which tests reach a line of it, also in programs that they start."""

from __future__ import annotations

import compileall
import json
import os
import py_compile
import shutil
import subprocess
import sys
from collections import defaultdict
from hashlib import sha256
from pathlib import Path

from coverage import CoverageData

from tests.mutations import chosen

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path("src/dualperturb")
# Minutes of DVC, a browser, and timings that judge nothing.
LEFT_OUT = ("tests/pipeline", "tests/browser", "tests/benchmarks")
# Seconds that one change may take: of the tests that reach its line, then of others that reach its module.
OF_THE_LINE, OF_THE_MODULE = 30, 10

# A program that a test starts is told by pytest's own variable which test that is.
CONFIG = """[run]
data_file = {home}/coverage
source = {tree}/src/dualperturb
context = ${{PYTEST_CURRENT_TEST-}}
parallel = true
"""


def files() -> list[str]:
    """What git tracks or would track, and is there."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted({name for name in listed.split("\0") if name and (ROOT / name).is_file()})


def copied(tree: Path) -> Path:
    """A clone of this repository in which the files are those of the working tree."""
    subprocess.run(["git", "clone", "--quiet", "--shared", "--no-checkout", ROOT, tree], check=True)
    for name in files():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, tree / name)
    subprocess.run(["git", "reset", "--quiet"], cwd=tree, check=True)
    # Checked by content: by time, a change within a second and of the same length would go unnoticed.
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(tree / "src", quiet=1, invalidation_mode=mode)
    return tree


def environment(tree: Path, **more: str | Path) -> dict[str, str]:
    """Of a program that tests the sources in `tree`, and leaves no bytecode."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    fixed = {"PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    return {**os.environ, **fixed, "PATH": path, **{name: str(value) for name, value in more.items()}}


class Reached:
    """Which tests reach a line, and how long each takes."""

    def __init__(self, home: Path) -> None:
        self.seconds: dict[str, float] = json.loads((home / "seconds.json").read_text())
        self._tests: dict[str, dict[int, set[str]]] = defaultdict(dict)
        data = CoverageData(str(home / "coverage"))
        data.read()
        for file in data.measured_files():
            name = str(Path(file).relative_to((home / "tree").read_text()))
            for line, contexts in data.contexts_by_lineno(file).items():
                self._tests[name][line] = {_test(context) for context in contexts} & self.seconds.keys()

    def tests(self, file: str, lines: range) -> list[str]:
        """The tests of a change at `lines` of `file`, cheapest first, within the seconds that it may take."""
        by_line = self._tests[file]
        near = set().union(*(by_line.get(line, set()) for line in lines))
        rest = set().union(*by_line.values()) - near
        more = OF_THE_MODULE if near else OF_THE_LINE + OF_THE_MODULE
        return self._within(near, OF_THE_LINE) + self._within(rest, more)

    def cheapest(self) -> list[str]:
        """Tests of three seconds: most of what takes no time."""
        return self._within(set(self.seconds), 3)

    def taken(self, tests: list[str]) -> float:
        return sum(self.seconds[test] for test in tests)

    def _within(self, tests: set[str], allowed: float) -> list[str]:
        taken, within = 0.0, []
        for test in sorted(tests, key=lambda test: (self.seconds[test], test)):
            taken += self.seconds[test]
            if taken <= allowed or not within:
                within.append(test)
        return within


def _test(context: str) -> str:
    """The test of pytest-cov's `tests/test_a.py::test_b|run`, or of `tests/test_a.py::test_b (call)`."""
    return context.rsplit("|", 1)[0] if "|" in context else context.rsplit(" (", 1)[0]


def measured(home: Path, processes: int) -> Reached:
    """Run the tests once under coverage, or take what the last run on the same files left in `home`."""
    digest = sha256()
    for name in files():
        if name.startswith(("src/", "stages/", "tests/")) and not name.startswith("tests/mutations/"):
            digest.update(name.encode() + b"\0" + (ROOT / name).read_bytes())
    home = home / "reached"
    of = home / "sha256"
    if not of.exists() or of.read_text() != digest.hexdigest():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        _measure(home, processes)
        of.write_text(digest.hexdigest())
    return Reached(home)


def _measure(home: Path, processes: int) -> None:
    tree = copied(home / "copy")
    (home / "tree").write_text(str(tree))
    config = home / "coveragerc"
    config.write_text(CONFIG.format(home=home, tree=tree))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.mutations.chosen", "--cov-context=test"]
    command += [f"--cov={tree / PACKAGE}", f"--cov-config={config}", "--cov-report=", "--dist=worksteal"]
    command += [f"--numprocesses={processes}", *(f"--ignore={name}" for name in LEFT_OUT)]
    record = {chosen.RECORD: home / "seconds.json", chosen.CONFIG: config}
    # Tests that fail choose nothing, so that the status does not matter here.
    subprocess.run(command, cwd=tree, env=environment(tree, **record))
    shutil.rmtree(tree)
