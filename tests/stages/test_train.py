from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from ruamel.yaml import YAML

from dualperturb.core.classifiers.storage import load_classifier
from dualperturb.core.images import write_meta, write_split
from dualperturb.errors import UserError
from stages import train as stage

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 3
SETTING = {
    "optimiser": {"batch_size": 16, "learning_rate": 0.05},
    "clean": {"epochs": EPOCHS},
    "at_pgd": {"epochs": EPOCHS, "steps": 1},
    "at_dual": {"epochs": EPOCHS, "steps": 1, "warmup_epochs": 1},
    "smoothing": {"epochs": EPOCHS},
    "smoothing_dual": {"epochs": EPOCHS},
}
# The stage, but its process kills itself in the middle of the second epoch.
KILLED = """
import os, signal, sys
from dualperturb.progress import TrainingProgress
from stages.common import CHECKPOINTS
from stages.train import main

def killing(self, epoch, done, *_):
    if (epoch, done) == (1, 3):
        assert list((CHECKPOINTS / "shapes6").glob("at_dual_L2-*.pt"))
        os.kill(os.getpid(), signal.SIGKILL)

TrainingProgress.__call__ = killing
main("at_dual", "shapes6", "L2")
"""

# The stage as several ranks, the second of which kills itself in the middle of the second epoch.
KILLED_RANK = """
import os, signal
from dualperturb import launch
from dualperturb.progress import TrainingProgress
from stages.common import run
from stages.train import main

shown = TrainingProgress.__call__

def killing(self, epoch, done, *rest):
    if (launch.rank(), epoch, done) == (1, 1, 3):
        os.kill(os.getpid(), signal.SIGKILL)
    shown(self, epoch, done, *rest)

TrainingProgress.__call__ = killing
run(main, ranked=True)
"""


def write_params(
    folder: Path, devices: object = "auto", seeds: tuple[int, ...] = (0,), **train: dict[str, object]
) -> None:
    yaml = YAML(typ="safe", pure=True)
    raw = yaml.load((ROOT / "params.yaml").read_text())
    raw["runtime"] = {"devices": devices, "nodes": 1, "precision": "fp32", "compile": "off"}
    raw["seeds"]["training"] = list(seeds)
    section = raw["shapes6"]["train"]
    for name, values in {**SETTING, **train}.items():
        section[name] = {**section[name], **values}
    with (folder / "params.yaml").open("w") as file:
        yaml.dump(raw, file)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with parameters, 64 prepared images of 32x32 pixels in three classes, and their masks."""
    write_params(tmp_path)
    random = np.random.default_rng(0)
    prepared = tmp_path / "data/prepared/shapes6"
    images = random.integers(0, 256, (64, 3, 32, 32), dtype=np.uint8)
    masks = random.random((64, 1, 32, 32)) < 0.4
    entry = write_split(prepared, "train", 32, ((images[i], i % 3, masks[i]) for i in range(64)))
    write_meta(
        prepared, name="shapes6", class_names=["boat", "house", "bird"], side=32, splits={"train": entry}
    )
    (tmp_path / "data/masks/shapes6").mkdir(parents=True)
    np.save(tmp_path / "data/masks/shapes6/train.foreground.npy", masks)
    return tmp_path


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    env = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=env,
        check=False,
        timeout=120,
        capture_output=True,
        text=True,
    )


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("defence", "norm", "name"),
    [
        ("clean", None, "shapes6/clean"),
        ("at_pgd", "Linf", "shapes6/at_pgd/Linf"),
        ("at_dual", "L2", "shapes6/at_dual/L2"),
        ("smoothing", None, "smoothed/shapes6/smoothing"),
        ("smoothing_dual", None, "smoothed/shapes6/smoothing_dual"),
    ],
)
def test_the_stage_leaves_a_model_a_history_and_its_time(
    project: Path, monkeypatch: pytest.MonkeyPatch, defence: str, norm: str | None, name: str
) -> None:
    monkeypatch.chdir(project)
    stage.main(defence, "shapes6", norm)
    model = load_classifier(project / "models" / name / "0")
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 3)
    history = pd.read_csv(project / f"reports/training/{name}/0.csv")
    assert list(history) == ["epoch", "learning_rate", "loss", "accuracy"]
    assert list(history["epoch"]) == [1, 2, 3]
    run = "/".join(filter(None, [f"train_{defence}", norm]))
    time = json.loads((project / f"reports/times/shapes6/{run}.json").read_text())
    assert time["stage"] == run.replace("/", "_") and time["seconds"] > 0
    assert files(project / "checkpoints") == []


def test_each_seed_trains_a_classifier_and_what_is_done_is_not_done_again(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dualperturb.training.loop import train

    monkeypatch.chdir(project)
    stage.main("clean", "shapes6")
    alone = {name: (project / name).read_bytes() for name in files(project) if "/clean/0" in name}
    write_params(project, seeds=(0, 5))

    def killed(*arguments: Any) -> Any:
        if arguments[4].seed == 5:
            raise KeyboardInterrupt
        return train(*arguments)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("dualperturb.training.loop.train", killed)
        stage.main("clean", "shapes6")
    shutil.rmtree(project / "models")  # as DVC does before it runs a stage
    capsys.readouterr()
    stage.main("clean", "shapes6")
    told = capsys.readouterr()
    assert "3 of 3 epochs done" in told.out and told.err.count("shapes6 clean, seed 5: epoch") == 3
    assert "seed 0: epoch" not in told.err and files(project / "checkpoints") == []
    assert len(alone) == 3 and alone == {name: (project / name).read_bytes() for name in alone}
    other = (project / "models/shapes6/clean/5/weights.safetensors").read_bytes()
    assert other != alone["models/shapes6/clean/0/weights.safetensors"]
    assert (project / "reports/training/shapes6/clean/5.csv").exists()


def test_a_killed_stage_goes_on_and_ends_with_the_same_bytes(project: Path) -> None:
    # In a process of its own, as the killed one: this one may have computed with other numbers of threads.
    python(project, "-m", "stages.train", "at_dual", "shapes6", "L2").check_returncode()
    results = [
        *(project / "models/shapes6/at_dual/L2/0").iterdir(),
        project / "reports/training/shapes6/at_dual/L2/0.csv",
    ]
    undisturbed = {path: path.read_bytes() for path in results}
    for path in results:
        path.unlink()

    killed = python(project, "-c", KILLED)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert files(project / "models") == [] and len(files(project / "checkpoints")) == 1

    resumed = python(project, "-m", "stages.train", "at_dual", "shapes6", "L2")
    assert resumed.returncode == 0, resumed.stderr
    (line,) = resumed.stdout.splitlines()
    assert line.startswith("checkpoints/shapes6/at_dual_L2-") and line.endswith(
        "1 of 3 epochs done, going on from epoch 2"
    )
    assert len(resumed.stderr.splitlines()) == 2, "a line for each epoch that was run"
    assert {path: path.read_bytes() for path in results} == undisturbed
    assert files(project / "checkpoints") == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="two ranks on the CPU are meant")
def test_a_killed_rank_ends_the_stage_with_one_line_and_fewer_ranks_go_on(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lightning_fabric")
    monkeypatch.chdir(project)
    write_params(project)
    stage.main("at_dual", "shapes6", "L2")
    history = Path("reports/training/shapes6/at_dual/L2/0.csv")
    undisturbed = pd.read_csv(history)
    history.unlink()

    write_params(project, devices=2)
    begun = time.monotonic()
    killed = python(project, "-c", KILLED_RANK, "at_dual", "shapes6", "L2")
    assert killed.returncode == 1 and time.monotonic() - begun < 60
    first_epoch, line = killed.stderr.splitlines()
    assert first_epoch.startswith("shapes6 at_dual_L2: epoch 1/3, loss ")
    assert line.startswith("error: rank 1 of 2 (process ") and "was ended by SIGKILL; start" in line
    assert not history.exists() and len(files(project / "checkpoints")) == 1

    write_params(project)
    stage.main("at_dual", "shapes6", "L2")
    assert len(files(project / "checkpoints")) == 0
    resumed = pd.read_csv(history)
    assert resumed["epoch"].tolist() == [1, 2, 3]
    assert resumed["learning_rate"].tolist() == undisturbed["learning_rate"].tolist()
    # Two ranks sum in another order than one, a rounding that training magnifies epoch by epoch.
    apart = (resumed["loss"] - undisturbed["loss"]).abs()
    assert apart[0] < 1e-4 and apart[1] < 1e-3 and apart[2] < 1e-2


def test_several_machines_need_a_launcher(project: Path) -> None:
    params = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(params.replace("nodes: 1", "nodes: 2"))
    failed = python(project, "-m", "stages.train", "clean", "shapes6")
    (line,) = failed.stderr.splitlines()
    assert failed.returncode == 1 and "runtime.nodes: found 2" in line and "torchrun or srun" in line


def test_a_loss_that_is_not_finite_ends_in_one_line_and_leaves_no_model(project: Path) -> None:
    write_params(project, optimiser={"batch_size": 16, "learning_rate": 1e30})
    failed = python(project, "-m", "stages.train", "clean", "shapes6")
    assert failed.returncode == 1
    (line,) = failed.stderr.splitlines()
    assert line.startswith("error: training: the loss became ") and "optimiser.learning_rate" in line
    assert not (project / "models").exists() and not (project / "reports/training").exists()


def test_an_update_that_does_not_fit_is_one_line_that_names_the_batch(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2.00 GiB.")

    monkeypatch.chdir(project)
    monkeypatch.setattr("dualperturb.training.loop.train", full)
    with pytest.raises(
        UserError, match=r"^shapes6\.train\.optimiser\.batch_size: found 16, out of memory .*: fewer"
    ):
        stage.main("clean", "shapes6")
    assert not (project / "models").exists()


def test_an_architecture_for_images_of_another_size_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    write_params(project, classifier={"architecture": "vit_b_32"})
    line = r"^shapes6\.train\.classifier\.architecture: vit_b_32 does not take images of 32x32 pixels \(W"
    with pytest.raises(UserError, match=line):
        stage.main("clean", "shapes6")
    assert not (project / "models").exists() and not (project / "checkpoints").exists()


def test_a_checkpoint_of_other_settings_is_not_used(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    chosen = stage.params()
    used = stage.checkpoint_path(chosen, "clean", "shapes6", None, 0, 32)
    used.parent.mkdir(parents=True)
    used.write_bytes(b"no checkpoint: whoever opens it fails")
    write_params(project, clean={"epochs": 2})
    stage.main("clean", "shapes6")
    assert capsys.readouterr().out == ""
    assert used.exists() and len(pd.read_csv("reports/training/shapes6/clean/0.csv")) == 2


def test_other_images_or_masks_make_another_checkpoint(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    chosen = stage.params()
    names = [stage.checkpoint_path(chosen, "at_dual", "shapes6", "L2", 0, 32)]
    masks = project / "data/masks/shapes6/train.foreground.npy"
    np.save(masks, ~np.load(masks))
    names.append(stage.checkpoint_path(chosen, "at_dual", "shapes6", "L2", 0, 32))
    meta = json.loads((project / "data/prepared/shapes6/meta.json").read_text())
    meta["splits"]["train"]["sha256"]["train.images.npy"] = "0" * 64
    write_meta(project / "data/prepared/shapes6", **meta)
    names.append(stage.checkpoint_path(chosen, "at_dual", "shapes6", "L2", 0, 32))
    assert len(set(names)) == 3
