"""How long a stage takes from its start to its first useful work, and `dualperturb --help` in all.

    python -m benchmarks.stages [--workspace DIR] [--out DIR] [--tiny]

DIR: where the pipeline of shapes6 ran; without it (and in tiny runs) --help and imports alone are measured.
First useful work: the first module of a network or saliency model that is called; for figures and the report,
the first figure or page that is drawn. There the stage is stopped, before it writes anything. Wall time. The
last column: whether the stage had loaded torch by then.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path
from statistics import median

import pandas as pd

from benchmarks.common import Row, Table, Target, in_set_up_process, parsed, parser, show
from benchmarks.shapes6 import add_workspace, present

ROOT = Path(__file__).resolve().parents[1]
HELP = ("-c", "from dualperturb.cli import main; main()", "--help")
# stage -> its arguments, and what is its first useful work
STAGES = {
    "train": (["at_dual", "shapes6", "L2"], "torch.nn:Module.__call__"),
    "robustness": (["dual", "shapes6", "at_dual", "L2"], "torch.nn:Module.__call__"),
    "masks": (["shapes6"], "torch.nn:Module.__call__"),
    "figures": (["shapes6"], "dualperturb.figures:draw"),
    "report": ([], "dualperturb.report:render_html"),
}
NO_TORCH = ("figures", "report")
# Runs a stage until the named function is called: prints the time, and whether torch is there.
UNTIL = """
import functools, importlib, runpy, sys, time
stage, where, *arguments = sys.argv[1:]
module, _, path = where.partition(":")
*owners, name = path.split(".")
class Reached(BaseException): pass
def reached(*_, **__):
    print("REACHED", time.monotonic(), "torch" in sys.modules, flush=True)
    raise Reached
# A stage that has to do without torch must not get it from here.
owner = functools.reduce(getattr, owners, importlib.import_module(module))
setattr(owner, name, reached)
sys.argv = [stage, *arguments]
try:
    runpy.run_module(f"stages.{stage}", run_name="__main__")
except Reached:
    pass
"""


def main(given: list[str] | None = None) -> None:
    options = parsed(add_workspace(parser(__doc__), images=0), given)
    rows = [row("dualperturb --help", [_help() for _ in range(options.repeats)], False, 0.4)]
    if not options.tiny and present(options.workspace):
        for stage in STAGES:
            found = [_until_useful(stage, options) for _ in range(options.repeats)]
            rows.append(row(stage, [seconds for seconds, _ in found], found[0][1], 2.5))
    show([Table("stages", rows)], options.out)


def row(name: str, seconds: list[float], torch_loaded: bool, limit: float) -> Row:
    return {"stage": name, "seconds": median(seconds), "limit": limit, "torch_loaded": torch_loaded}


def targets(rows: pd.DataFrame) -> list[Target]:
    made = [Target(6, f"seconds of {row.stage}", row.seconds, row.limit, True) for row in rows.itertuples()]
    without = rows[rows["stage"].isin(NO_TORCH)]
    if len(without):
        made.append(
            Target(6, "stages of figures and report that load torch", without["torch_loaded"].sum(), 0, True)
        )
    return made


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}


def _help() -> float:
    begun = time.monotonic()
    subprocess.run([sys.executable, *HELP], check=True, capture_output=True, env=_environment())
    return time.monotonic() - begun


def _until_useful(stage: str, options: Namespace) -> tuple[float, bool]:
    arguments, where = STAGES[stage]
    begun = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-P", "-c", UNTIL, stage, where, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=options.workspace,
        env=_environment(),
    )
    for line in ended.stdout.splitlines():
        if line.startswith("REACHED"):
            _, at, loaded = line.split()
            return float(at) - begun, loaded == "True"
    raise SystemExit(f"error: stage {stage} never came to its first useful work: {ended.stderr[-500:]}")


if __name__ == "__main__":
    in_set_up_process(main)
