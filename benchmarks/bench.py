"""The CPU's part of the benchmarks: every script in turn, then each target as reached or missed.

    python -m benchmarks.bench [--workspace DIR] [--out DIR] [--only NAME ...] [--verdicts]

DIR: where the pipeline of shapes6 ran (by default this folder); without its results the questions that ask
for trained classifiers are left out, with a line that says so. --verdicts: no measurement, only the targets
from the tables that are there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pandas as pd

from benchmarks.common import RESULTS, Table, Target, show
from benchmarks.machine import machine
from benchmarks.shapes6 import add_workspace, present

# script -> whether it needs the pipeline's classifiers
SCRIPTS = {
    "floor": False,
    "sweep": True,
    "precision": False,
    "strength": True,
    "training": False,
    "masks": False,
    "stages": False,
    "memory": False,
    "autoattack": False,
}
TAKES_WORKSPACE = ("sweep", "strength", "stages")


def main(given: list[str] | None = None) -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_workspace(made, images=0).add_argument("--out", type=Path, default=RESULTS)
    made.add_argument("--only", action="append", choices=SCRIPTS, help="of the scripts; may be repeated")
    made.add_argument("--verdicts", action="store_true")
    options = made.parse_args(given)
    failed = [] if options.verdicts else measure(options)
    targets = verdicts(options.out)
    for target in targets:
        sign = "<=" if target.at_most else ">="
        word = "reached" if target.reached else "MISSED "
        print(f"{word} {target.number}. {target.what}: {target.found:.4g} ({sign} {target.limit:g})")
    print(f"{sum(target.reached for target in targets)} of {len(targets)} reached")
    if failed:
        sys.exit(f"error: these scripts failed: {', '.join(failed)}")


def measure(options: argparse.Namespace) -> list[str]:
    """Run the scripts; those that failed."""
    failed, before = [], os.getloadavg()[0]
    for name in options.only or SCRIPTS:
        if SCRIPTS[name] and not present(options.workspace):
            print(
                f"{name}: left out, {options.workspace}/models/shapes6 is not there; run `make repro` first\n"
            )
            continue
        begun = time.monotonic()
        extra = ["--workspace", str(options.workspace)] if name in TAKES_WORKSPACE else []
        command = [sys.executable, "-m", f"benchmarks.{name}", "--out", str(options.out), *extra]
        if subprocess.run(command).returncode:
            failed.append(name)
        print(f"{name}: {time.monotonic() - begun:.0f} s\n", flush=True)
    show([Table("machine", machine(before))], options.out)
    return failed


def verdicts(folder: Path) -> list[Target]:
    """What the tables in `folder` say of the targets, in the targets' order."""
    made: list[Target] = []
    for name in SCRIPTS:
        path, script = folder / f"{name}.csv", import_module(f"benchmarks.{name}")
        if path.exists() and hasattr(script, "targets"):
            made += script.targets(pd.read_csv(path))
    return sorted(made, key=lambda target: target.number)


if __name__ == "__main__":
    main()
