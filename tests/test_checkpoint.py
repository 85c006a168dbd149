from __future__ import annotations

import errno
import hashlib
import io
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from dualperturb.errors import UserError
from dualperturb.training.checkpoint import epochs_done, load_checkpoint, read_checkpoint, save_checkpoint

Run = tuple[nn.Module, torch.optim.Optimizer, LRScheduler]


def run(width: int = 3, steps: int = 0, cycle: bool = True) -> Run:
    """A linear model after some steps of SGD with momentum."""
    generator = torch.Generator().manual_seed(1)
    model = nn.Linear(width, 2)
    nn.init.zeros_(model.weight), nn.init.zeros_(model.bias)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule: LRScheduler = (
        OneCycleLR(optimiser, 0.1, 20, cycle_momentum=False) if cycle else CosineAnnealingLR(optimiser, 20)
    )
    for _ in range(steps):
        step((model, optimiser, schedule), torch.randn(4, width, generator=generator))
    return model, optimiser, schedule


def step(state: Run, inputs: torch.Tensor) -> None:
    model, optimiser, schedule = state
    optimiser.zero_grad()
    model(inputs).square().sum().add(model(inputs).sum()).backward()
    optimiser.step()
    schedule.step()


@pytest.mark.parametrize("cycle", [True, False])
def test_the_next_step_is_the_same_after_a_round_trip(tmp_path: Path, cycle: bool) -> None:
    saved, loaded = run(steps=5, cycle=cycle), run(cycle=cycle)
    rows = [{"epoch": 1, "learning_rate": 0.1, "loss": 1 / 3, "accuracy": 0.5}]
    save_checkpoint(tmp_path / "run.pt", *saved, rows)
    assert load_checkpoint(tmp_path / "run.pt", *loaded) == rows
    for _ in range(2):  # the momentum and the schedule show in the second step
        for state in (saved, loaded):
            step(state, torch.ones(4, 3))
    assert torch.equal(saved[0].weight, loaded[0].weight)
    assert saved[1].param_groups[0]["lr"] == loaded[1].param_groups[0]["lr"]
    assert saved[2].last_epoch == loaded[2].last_epoch == 7


def test_no_file_is_a_fresh_start(tmp_path: Path) -> None:
    assert epochs_done(tmp_path / "absent.pt") == 0


def test_epochs_done_counts_the_history(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "run.pt", *run(steps=1), [{"epoch": 1}, {"epoch": 2}])
    assert epochs_done(tmp_path / "run.pt") == 2


def test_a_write_that_fails_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path / "run.pt", *run(steps=1), [{"epoch": 1}])

    def half(path: Path, content: bytes) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(UserError, match=r"run\.pt: No space left on device; free some and run again$"):
        save_checkpoint(tmp_path / "run.pt", *run(steps=2), [{"epoch": 1}, {"epoch": 2}])
    assert epochs_done(tmp_path / "run.pt") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


class Trap:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


FULL = """
mount -t tmpfs -o size=64k none "$1" || exit 77
"$0" -c '
import sys
from pathlib import Path
import torch
from dualperturb.core.classifiers.storage import ClassifierSpec, save_classifier
from dualperturb.errors import UserError
from dualperturb.training.checkpoint import save_checkpoint
model = torch.nn.Linear(100, 400)
optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
try:
    save_checkpoint(
        Path(sys.argv[1]) / "run.pt", model, optimiser, torch.optim.lr_scheduler.StepLR(optimiser, 1), []
    )
except UserError as error:
    print(error)
try:
    save_classifier(Path(sys.argv[1]), model, ClassifierSpec("linear", ()))
except UserError as error:
    print(error)
' "$1"
ls -A "$1"
"""


def test_a_disk_that_fills_meanwhile_is_one_line(tmp_path: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("no unshare on this system")
    asked = ["unshare", "--mount", "--map-root-user", "sh", "-c", FULL, sys.executable, str(tmp_path)]
    done = subprocess.run(asked, capture_output=True, text=True)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"may not mount a file system here: {done.stderr.strip()}")
    end = "No space left on device; free some and run again"
    files = ("run.pt", "weights.safetensors")
    assert done.stdout.splitlines() == [f"{tmp_path}/{name}: {end}" for name in files], done.stderr


def sealed(path: Path, state: object, epochs: int = 3) -> None:
    """What `torch.save` makes of any object, behind a first line that fits it."""
    body = io.BytesIO()
    torch.save(state, body)
    digest = hashlib.sha256(body.getvalue()).hexdigest()
    head = f"dualperturb checkpoint, epochs done: {epochs}, SHA-256: {digest}\n"
    path.write_bytes(head.encode() + body.getvalue())


REFUSED = r"run\.pt: damaged, or not a checkpoint of this training \([\w ]+\); remove it: "


@pytest.mark.parametrize("kind", ["pickle", "truncated", "text", "empty", "plain torch"])
def test_a_file_that_is_no_checkpoint_is_refused_on_one_line(tmp_path: Path, kind: str) -> None:
    path, sprung = tmp_path / "run.pt", tmp_path / "sprung"
    save_checkpoint(path, *run(steps=1), [])
    whole = path.read_bytes()
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"history": Trap(sprung)}, protocol=2))
    elif kind == "plain torch":
        torch.save({"history": []}, path)
    else:
        path.write_bytes({"truncated": whole[: len(whole) // 2], "text": b"hello", "empty": b""}[kind])
    for read in (lambda: load_checkpoint(path, *run()), lambda: epochs_done(path)):
        with pytest.raises(UserError, match=REFUSED):
            read()
    assert not sprung.exists()


@pytest.mark.parametrize("state", [{"history": [Trap(Path("sprung"))]}, torch.ones(2), {"model": {}}])
def test_what_another_program_sealed_is_refused_and_runs_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: object
) -> None:
    monkeypatch.chdir(tmp_path)
    sealed(tmp_path / "run.pt", state)
    with pytest.raises(UserError, match=REFUSED + "the 3 epochs that it held"):
        epochs_done(tmp_path / "run.pt")
    assert not Path("sprung").exists()


@pytest.mark.parametrize("damage", ["one bit", "a page of zeros"])
def test_a_changed_bit_is_noticed_and_what_is_lost_is_said(tmp_path: Path, damage: str) -> None:
    """In the numbers of a tensor, where torch notices nothing."""
    path = tmp_path / "run.pt"
    save_checkpoint(path, *run(width=9000, steps=1), [{"epoch": 1}, {"epoch": 2}])
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    if damage == "one bit":
        content[middle] ^= 1
    else:
        content[middle : middle + 4096] = bytes(4096)
    path.write_bytes(content)
    with pytest.raises(UserError, match=REFUSED + "the 2 epochs that it held will be trained again$"):
        load_checkpoint(path, *run(width=9000))


@pytest.mark.parametrize("part", ["model", "optimiser", "schedule"])
@pytest.mark.parametrize("content", [7, ["a"], None])
def test_a_checkpoint_with_another_thing_in_a_place_is_refused_on_one_line(
    tmp_path: Path, part: str, content: object
) -> None:
    path = tmp_path / "run.pt"
    save_checkpoint(path, *run(steps=1), [])
    whole = read_checkpoint(path)
    sealed(path, whole | {part: content})
    with pytest.raises(UserError, match=REFUSED):
        load_checkpoint(path, *run())


def test_the_checkpoint_of_another_classifier_is_refused_on_one_line(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "run.pt", *run(width=4, steps=1), [])
    with pytest.raises(UserError, match=REFUSED):
        load_checkpoint(tmp_path / "run.pt", *run(width=3))
