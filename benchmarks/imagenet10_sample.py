"""Clean, AT-PGD and AT-Dual on a sample of imagenet10, measured as in Fig. 3 and 4: the stages, without DVC.

    python -m benchmarks.imagenet10_sample --raw DIR --work DIR --out DIR [--minutes M] [--set KEY=VALUE ...]

--raw: train/<wnid> and val/<wnid> with photographs. --work: where the stages run and leave what they make;
after M minutes the stage at work is ended, and the same command goes on from there, training from its last
epoch. --set: a parameter of params.yaml, dots between the keys, in place of SETTINGS below. --out gets what
is done so far: results.csv (the rows of Fig. 3 and 4), training.csv, seconds.csv, machine.csv, params.yaml,
and, once all is done, the two figures. The device is that of the stages: the GPU, where there is one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from benchmarks.common import Table, show
from benchmarks.machine import machine
from dualperturb.errors import UserError
from dualperturb.figures import accuracy_panels, salience_panels, save
from dualperturb.files import replacing
from dualperturb.params import load_params

ROOT = Path(__file__).resolve().parents[1]
DATASET, NORM, DEFENCES, SWEEPS = (
    "imagenet10",
    "L2",
    ("clean", "at_pgd", "at_dual"),
    ("eps", "dual", "salience_weight"),
)
# 4,500 photographs allow no training from scratch: EfficientNet-Lite0 from ImageNet weights (extra `lite`).
SETTINGS: dict[str, Any] = {
    "datasets": [DATASET],
    "norms": [NORM],
    "imagenet10.train.classifier.architecture": "efficientnet_lite0",
    "imagenet10.train.clean.epochs": 10,
    "imagenet10.train.at_pgd.epochs": 20,
    "imagenet10.train.at_pgd.steps": 10,
    "imagenet10.train.at_pgd.step_size": 0.25,
    "imagenet10.train.at_dual.epochs": 20,
    "imagenet10.train.at_dual.steps": 10,
    "imagenet10.train.at_dual.step_size": 0.25,
    "imagenet10.train.at_dual.warmup_epochs": 10,
}
CUT = 3  # exit status when the time is over


def main(given: list[str] | None = None) -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name in ("--raw", "--work", "--out"):
        made.add_argument(name, type=Path, required=True)
    made.add_argument("--minutes", type=float, default=25.0)
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = made.parse_args(given)
    try:
        set_up(options.work, options.raw, options.set)
    except (UserError, OSError) as error:
        sys.exit(f"error: {error}")
    left = run(options.work, time.monotonic() + 60 * options.minutes)
    gather(options.work, options.out, whole=not left)
    if left:
        print(f"time is over, {len(left)} stages are left, {left[0]} first; the same command goes on there")
        sys.exit(CUT)


def set_up(work: Path, raw: Path, changes: list[str]) -> None:
    """The folder that the stages run in. Raises UserError for what params.yaml does not accept."""
    if not (raw / "train").is_dir():
        raise UserError(f"--raw {raw}: no folder train in it; accepted: train/<wnid> and val/<wnid>")
    yaml = YAML(typ="safe", pure=True)
    settings = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for key, value in {**SETTINGS, **dict(_change(change) for change in changes)}.items():
        *sections, last = key.split(".")
        place = settings
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    path = work / "params.yaml"
    if path.exists() and yaml.load(path.read_text(encoding="utf-8")) != settings:
        raise UserError(f"--work {work}: begun with other parameters; accepted: the same, or a new folder")
    with replacing(path) as temporary:
        with temporary.open("w", encoding="utf-8") as file:
            yaml.dump(settings, file)
        load_params(temporary)
    (work / "data/raw").mkdir(parents=True, exist_ok=True)
    link = work / "data/raw" / DATASET
    if not link.exists():
        link.symlink_to(raw.absolute())


def _change(given: str) -> tuple[str, Any]:
    key, equals, value = given.partition("=")
    if not equals:
        raise UserError(f"--set: found {given!r}; accepted: KEY=VALUE, as in imagenet10.evaluate.n=100")
    return key, YAML(typ="safe", pure=True).load(value)


def stages() -> Iterator[list[str]]:
    """Module and arguments of each, in their order."""
    yield ["prepare", DATASET]
    yield ["masks", DATASET]
    yield ["train", "clean", DATASET]
    yield from (["train", defence, DATASET, NORM] for defence in DEFENCES[1:])
    yield from (["robustness", sweep, DATASET, defence, NORM] for sweep in SWEEPS for defence in DEFENCES)


def run(work: Path, deadline: float) -> list[str]:
    """Run what has not been done yet; the names of what is left when the time is over."""
    done = work / "done"
    done.mkdir(exist_ok=True)
    left = [arguments for arguments in stages() if not (done / "-".join(arguments)).exists()]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}
    while left and (seconds := deadline - time.monotonic()) > 0:
        begun, name = time.monotonic(), "-".join(left[0])
        print(f"{name} ...", flush=True)
        try:
            command = [sys.executable, "-m", f"stages.{left[0][0]}", *left[0][1:]]
            ended = subprocess.run(command, cwd=work, env=environment, timeout=seconds)
        except subprocess.TimeoutExpired:
            ended = None
        with (work / "seconds.csv").open("a", encoding="utf-8") as file:
            file.write(f"{name},{time.monotonic() - begun:.1f}\n")
        if ended is None:
            break
        if ended.returncode:
            sys.exit(ended.returncode)
        (done / name).touch()
        del left[0]
    return ["-".join(arguments) for arguments in left]


def gather(work: Path, out: Path, whole: bool) -> None:
    """Tables of what is done, and the figures of the whole."""
    out.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(work / "params.yaml", out / "params.yaml")
    show([Table("machine", machine(os.getloadavg()[0]))], out)
    taken = pd.read_csv(work / "seconds.csv", names=["stage", "seconds"])
    # Summed, for a stage that was cut has a line for each time.
    taken.groupby("stage", sort=False).sum().reset_index().to_csv(out / "seconds.csv", index=False)
    histories = sorted((work / "reports/training" / DATASET).rglob("*.csv"))
    cells = work / "reports/cells" / DATASET
    paths = [cells / axis / defence / f"{NORM}.csv" for axis in _axes() for defence in DEFENCES]
    tables = {
        "training": [pd.read_csv(path).assign(defence=_defence(path, work)) for path in histories],
        "results": [pd.read_csv(path) for path in paths if path.exists()],
    }
    for name, parts in tables.items():
        if parts:
            pd.concat(parts, ignore_index=True).to_csv(out / f"{name}.csv", index=False)
    if whole:
        results = pd.concat(tables["results"], ignore_index=True)
        style = load_params(work / "params.yaml").plots
        save(accuracy_panels(results, NORM, (NORM,), style), out / "accuracy")
        save(salience_panels(results, style), out / "salience")


def _axes() -> tuple[str, ...]:
    return "eps", "eps_f", "eps_b", "salience_weight"


def _defence(path: Path, work: Path) -> str:
    return path.relative_to(work / "reports/training" / DATASET).parts[0]


if __name__ == "__main__":
    main()
