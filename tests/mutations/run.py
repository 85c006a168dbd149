"""Mutation testing: each change of sample.csv is made in a copy of the tree, and the tests that reach it run.

python -m tests.mutations.run               # what `make mutants` does; writes mutants/results.csv
python -m tests.mutations.run --record      # and takes the outcomes into sample.csv, to compare with
python -m tests.mutations.run --draw 180    # draws another sample.csv, without outcomes
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import astuple, fields
from pathlib import Path
from queue import Queue

from tests.mutations import chosen
from tests.mutations.changes import Change, Place, changed, drawn, folder, found, possible
from tests.mutations.reached import PACKAGE, ROOT, Reached, copied, environment, measured

SAMPLE = Path(__file__).with_name("sample.csv")
HOME = ROOT / "mutants"
COLUMNS = [*(field.name for field in fields(Change)), "outcome"]
CAUGHT, MISSED = ("caught", "timed out"), ("survived", "unreached")
OUTCOMES = (*CAUGHT, *MISSED, "gone")


def main() -> None:
    options = _options()
    present = possible(ROOT, PACKAGE)
    if options.draw:
        return _write(SAMPLE, [(change, "") for change in drawn(present, options.draw, options.seed)])
    before = _read(SAMPLE)
    today = [found(change, present) for change in before]
    with tempfile.TemporaryDirectory(prefix="mutants-") as home:
        runs = Runs(Path(home), measured(HOME, options.processes), options.processes)
        runs.unchanged()
        with ThreadPoolExecutor(options.processes) as pool:
            outcomes = list(pool.map(lambda now: runs.outcome(now, present[now]) if now else "gone", today))
    rows = [(now or change, told) for change, now, told in zip(before, today, outcomes, strict=True)]
    _write(HOME / "results.csv", rows)
    if options.record:
        _write(SAMPLE, rows)
    _tell(rows)
    _compare(before, outcomes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations.run", description="Mutation testing.")
    parser.add_argument("--processes", type=int, default=2, metavar="N", help="changes tried at a time")
    parser.add_argument("--record", action="store_true", help="take the outcomes into sample.csv")
    parser.add_argument("--draw", type=int, metavar="COUNT", help="draw another sample.csv, and end")
    parser.add_argument("--seed", type=int, default=0, help="of --draw")
    return parser.parse_args()


class Runs:
    """Copies of the tree, one a process, in which changes are tried."""

    def __init__(self, home: Path, reached: Reached, processes: int) -> None:
        self._reached = reached
        self._log = HOME / "reached" / "outcomes.csv"
        self._known = _read(self._log) if self._log.exists() else {}
        self._free: Queue[Path] = Queue()
        for number in range(processes):
            self._free.put(copied(home / f"copy-{number}"))

    def outcome(self, change: Change, place: Place) -> str:
        """What became of the change; kept, so that a run that was ended goes on where it was."""
        if change not in self._known:
            outcome = self._outcome(change, place)
            _append(self._log, [(change, outcome)])
            print(f"{outcome:9} {place.lines[-1]:4} {_line(change)}", flush=True)
            self._known[change] = outcome
        return self._known[change]

    def _outcome(self, change: Change, place: Place) -> str:
        tests = self._reached.tests(change.file, place.lines)
        tree = self._free.get()
        file = tree / change.file
        code = file.read_text(encoding="utf-8")
        try:
            file.write_text(changed(code, change, place), encoding="utf-8")
            return self._tried(tree, tests) if tests else "unreached"
        finally:
            file.write_text(code, encoding="utf-8")
            self._free.put(tree)

    def unchanged(self) -> None:
        """End where tests fail without any change: then every change would count as caught."""
        tree = self._free.get()
        outcome = self._tried(tree, self._reached.cheapest())
        if outcome != "survived":
            print(tree.with_suffix(".log").read_text(encoding="utf-8"))
            raise SystemExit(
                f"error: a copy in which nothing is changed: found {outcome}; accepted: survived"
            )
        self._free.put(tree)

    def _tried(self, tree: Path, tests: list[str]) -> str:
        listed = tree.with_suffix(".json")
        listed.write_text(json.dumps(tests))
        files = dict.fromkeys(test.split("::")[0] for test in tests)
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "tests.mutations.chosen", *files]
        place = {"cwd": tree, "env": environment(tree, **{chosen.LIST: listed}), "start_new_session": True}
        with tree.with_suffix(".log").open("w") as log:
            run = subprocess.Popen(command, **place, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            return "caught" if run.wait(60 + 5 * self._reached.taken(tests)) else "survived"
        except subprocess.TimeoutExpired:
            return "timed out"
        finally:
            # With the programs that tests left behind.
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()


def _line(change: Change) -> str:
    operator = change.operator.removeprefix("core/")
    return f"{change.file} {change.function or 'module'}: {change.text}  [{operator}]"


def _read(path: Path) -> dict[Change, str]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file) if row != COLUMNS]
    return {Change(*names, int(nth)): outcome for *names, nth, outcome in rows}


def _write(path: Path, rows: list[tuple[Change, str]]) -> None:
    path.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    _append(path, rows)


def _append(path: Path, rows: list[tuple[Change, str]]) -> None:
    with path.open("a", encoding="utf-8", newline="") as file:
        lines = [(*astuple(change), outcome) for change, outcome in rows]
        csv.writer(file, lineterminator="\n").writerows(lines)


def _tell(rows: list[tuple[Change, str]]) -> None:
    """The survivors, and a table of folders."""
    print()
    for change, outcome in rows:
        if outcome in MISSED:
            print(f"{outcome:9} {_line(change)}")
    counts = Counter((where, outcome) for change, outcome in rows for where in (folder(change), "all"))
    print("\n" + "".join(f"{outcome:>10}" for outcome in OUTCOMES))
    for where in (*sorted({folder(change) for change, _ in rows}), "all"):
        print("".join(f"{counts[where, outcome]:10}" for outcome in OUTCOMES) + f"  {where}")


def _compare(before: dict[Change, str], outcomes: list[str]) -> None:
    """Exit with 1 where fewer are caught than sample.csv records, among those that are still there."""
    pairs = list(zip(before.items(), outcomes, strict=True))
    lost = [change for (change, then), now in pairs if then in CAUGHT and now in MISSED]
    won = [change for (change, then), now in pairs if then in MISSED and now in CAUGHT]
    print("".join(f"\nno longer caught: {_line(change)}" for change in lost))
    print(f"beside sample.csv: {len(lost)} no longer caught, {len(won)} caught that were not")
    if len(lost) > len(won):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
