"""A clone of the project with a tiny setting, in which real `dvc` commands run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.pipeline import probe
from tests.pipeline.probe import AT_EXIT

PROJECT = Path(__file__).resolve().parents[2]
DVC = (sys.executable, "-P", str(Path(__file__).with_name("remembering_dvc.py")))
REPRO = (*DVC, "repro")
PROGRAMS = Path(sys.executable).parent
RAN = re.compile(r"^(?:Running stage '(.+?)':|Stage '(.+?)' is cached - skipping run)", re.MULTILINE)

MEASURES = ("transfer", "jsma", "strong", "smoothing", "unsuspicious", "health")

# What is tested is which stages run and what they leave, not how well a classifier does.
TINY: dict[str, Any] = {
    "norms": ["L2"],
    # bfloat16 on a CPU depends on its instructions, and float32 is what devices are compared in.
    "runtime.precision": "fp32",
    "shapes6.data.train": 48,
    "shapes6.data.test": 24,
    "shapes6.train.optimiser.batch_size": 24,
    "shapes6.train.clean.epochs": 1,
    "shapes6.train.at_pgd.epochs": 1,
    "shapes6.train.at_pgd.steps": 1,
    "shapes6.train.at_dual.epochs": 1,
    "shapes6.train.at_dual.steps": 1,
    "shapes6.train.at_dual.warmup_epochs": 0,
    "shapes6.train.at_dual.salience_weight": 1.0,
    "shapes6.evaluate.n": 12,
    "shapes6.evaluate.batch_size": 5,
    "shapes6.evaluate.steps": 2,
    "shapes6.evaluate.grid.L2.eps_f": [0, 2],
    "shapes6.evaluate.grid.L2.eps_b": [0, 20],
    "shapes6.evaluate.grid.L2.eps": [0, 2],
    "shapes6.evaluate.salience_weights": [0, 1],
    "shapes6.evaluate.examples": [0, 1],
    **{
        f"shapes6.evaluate.{name}.n": 4
        for name in ("transfer", "jsma", "strong", "smoothing", "unsuspicious", "health")
    },
    "shapes6.evaluate.jsma.shares": [0.005],
    "shapes6.evaluate.strong.steps": 2,
    "shapes6.evaluate.strong.library_n": 2,
    "shapes6.evaluate.strong.square_queries": 2,
    "shapes6.evaluate.strong.cw": {"steps": 2, "searches": 2, "n": 2},
    "shapes6.evaluate.smoothing.n0": 5,
    "shapes6.evaluate.smoothing.samples": 20,
    "shapes6.evaluate.smoothing.prediction_samples": 20,
    "shapes6.train.smoothing.epochs": 1,
    "shapes6.train.smoothing_dual.epochs": 1,
    "figures.fig1.salience_weights": [0, 10],
}


def _files() -> list[str]:
    """The checkout's files that git does not ignore; in an unpacked archive, too, which is no repository."""
    with tempfile.TemporaryDirectory() as folder:
        empty = ["git", f"--git-dir={folder}", f"--work-tree={PROJECT}"]
        subprocess.run([*empty, "init", "--quiet"], check=True)
        listed = [*empty, "ls-files", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(listed, cwd=PROJECT, check=True, capture_output=True).stdout
    return list(filter(None, os.fsdecode(names).split("\0")))


@dataclass(frozen=True)
class Outcome:
    """What a command returned and printed (both streams), and the stages that `dvc repro` ran, in order."""

    code: int
    text: str

    @property
    def stages(self) -> list[str]:
        return [ran or restored for ran, restored in RAN.findall(self.text)]

    def check(self) -> Outcome:
        assert self.code == 0, self.text
        return self


class Workspace:
    """The clone at `home/clone`; beside it what DVC and the probe keep outside a project."""

    def __init__(self, home: Path, programs: Path = PROGRAMS) -> None:
        """programs: the folder of the `python` that stages are run by."""
        self.home, self.root, self.programs = home, home / "clone", programs

    @classmethod
    def clone(cls, home: Path, programs: Path = PROGRAMS) -> Workspace:
        """The checkout's files, committed or not, as the first commit of a repository of their own."""
        made = cls(home, programs)
        for name in _files():
            if name != "dvc.lock" and (PROJECT / name).is_file():
                (made.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / name, made.root / name)
        (home / "probe").mkdir()
        (home / "probe" / "sitecustomize.py").write_text(AT_EXIT)
        shutil.copy2(probe.__file__, home / "probe")
        made.change(TINY)
        author = ("-c", "user.name=test", "-c", "user.email=test@example.invalid")
        for arguments in (
            ("init", "--quiet"),
            ("add", "--all"),
            (*author, "commit", "--quiet", "-m", "tiny"),
        ):
            made.run("git", *arguments).check()
        return made

    def copy(self, home: Path, programs: Path = PROGRAMS) -> Workspace:
        """The same state elsewhere, with a DVC cache of its own."""
        shutil.copytree(self.home, home, symlinks=True)
        return Workspace(home, programs)

    def environment(self) -> dict[str, str]:
        """The interpreter of these tests, the clone's own modules, none of the user's DVC or git set-up."""
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_"))}
        return outside | {
            "PATH": os.pathsep.join((str(self.programs), str(PROGRAMS), os.environ["PATH"])),
            "PYTHONPATH": os.pathsep.join(map(str, (self.root / "src", self.home / "probe"))),
            "IMPORTS_LOG": str(self.home / "imports.jsonl"),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(self.home / "dvc-site"),
            "DVC_GLOBAL_CONFIG_DIR": str(self.home / "dvc-global"),
            "DVC_SYSTEM_CONFIG_DIR": str(self.home / "dvc-system"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
        }

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in the clone, in a process group of its own, both streams in one pipe."""
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str) -> Outcome:
        process = self.start(*command)
        text, _ = process.communicate()
        return Outcome(process.returncode, text)

    def repro(self) -> Outcome:
        return self.run(*REPRO)

    def change(self, changes: Mapping[str, Any]) -> None:
        """Give parameters, named by their dotted keys, other values."""
        path, yaml = self.root / "params.yaml", YAML()
        content = yaml.load(path)
        for dotted, value in changes.items():
            *sections, key = dotted.split(".")
            section = content
            for name in sections:
                section = section[name]
            assert key in section, f"params.yaml has no {dotted}"
            section[key] = value
        yaml.dump(content, path)

    def lock(self) -> dict[str, Any]:
        """The stages of dvc.lock."""
        stages: dict[str, Any] = YAML(typ="safe").load(self.root / "dvc.lock")["stages"]
        return stages

    def imports(self) -> dict[str, set[str]]:
        """Command of a stage -> the clone's files that it imported, in any of its processes."""
        found: dict[str, set[str]] = {}
        for record in map(json.loads, (self.home / "imports.jsonl").read_text().splitlines()):
            found.setdefault(record["cmd"], set()).update(record["files"])
        return found
