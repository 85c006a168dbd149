"""The experiment on a sample of imagenet10: its parameters, and going on where the time was over."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from benchmarks import imagenet10_sample as sample
from dualperturb.errors import UserError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "raw/train").mkdir(parents=True)
    return tmp_path / "raw"


def test_the_stages_get_the_parameters(tmp_path: Path, raw: Path) -> None:
    sample.set_up(tmp_path / "work", raw, ["imagenet10.evaluate.n=7", "imagenet10.train.at_dual.steps=50"])
    written = YAML(typ="safe").load(tmp_path / "work/params.yaml")
    assert written["datasets"] == ["imagenet10"] and written["norms"] == ["L2"]
    assert written["imagenet10"]["evaluate"]["n"] == 7
    assert written["imagenet10"]["train"]["at_dual"]["steps"] == 50
    assert written["imagenet10"]["train"]["at_pgd"]["steps"] == 10
    assert (tmp_path / "work/data/raw/imagenet10").resolve() == raw.resolve()


def test_what_cannot_be_run_is_refused_and_leaves_nothing(tmp_path: Path, raw: Path) -> None:
    for changes, line in (
        (["imagenet10.evaluate.nn=7"], r"imagenet10\.evaluate\.nn: unknown key"),
        (["evaluate"], "--set: found 'evaluate'; accepted: KEY=VALUE"),
    ):
        with pytest.raises(UserError, match=line):
            sample.set_up(tmp_path / "work", raw, changes)
        assert not list((tmp_path / "work").glob("*"))
    with pytest.raises(UserError, match="--raw .*: no folder train in it"):
        sample.set_up(tmp_path / "work", tmp_path, [])
    sample.set_up(tmp_path / "work", raw, [])
    with pytest.raises(UserError, match="begun with other parameters; accepted: the same, or a new folder"):
        sample.set_up(tmp_path / "work", raw, ["seeds.data=1"])


def test_what_was_cut_runs_again_and_what_is_done_does_not(
    tmp_path: Path, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample.set_up(tmp_path / "work", raw, [])
    asked: list[str] = []

    def stage(command: list[str], timeout: float, **_: Any) -> subprocess.CompletedProcess[bytes]:
        asked.append(" ".join(command[2:]))
        if len(asked) == 4:
            raise subprocess.TimeoutExpired(command, timeout)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", stage)
    left = sample.run(tmp_path / "work", time.monotonic() + 1000)
    assert left[0] == "train-at_pgd-imagenet10-L2"
    assert sample.run(tmp_path / "work", time.monotonic() + 1000) == []
    assert asked[3] == asked[4] == "stages.train at_pgd imagenet10 L2"
    assert len(asked) == len(set(asked)) + 1 == len(list(sample.stages())) + 1
    sample.gather(tmp_path / "work", tmp_path / "out", whole=False)
    seconds = (tmp_path / "out/seconds.csv").read_text().splitlines()
    assert len(seconds) == 1 + len(set(asked))


def test_a_stage_that_fails_ends_the_experiment(
    tmp_path: Path, raw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample.set_up(tmp_path / "work", raw, [])
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1))
    with pytest.raises(SystemExit) as ended:
        sample.run(tmp_path / "work", time.monotonic() + 1000)
    assert ended.value.code == 1 and not list((tmp_path / "work/done").iterdir())


def test_the_stages_are_the_pipelines() -> None:
    pipeline = (ROOT / "dvc.yaml").read_text()
    for module, *arguments in sample.stages():
        name = f"{module} {arguments[0]}".replace("imagenet10", "${item.dataset}")
        assert f"stages/run {name}" in pipeline or f"stages/run by_norm {name}" in pipeline, name
