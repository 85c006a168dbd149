from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from dualperturb.errors import UserError
from dualperturb.training.checkpoint import epochs_done, load_checkpoint, save_checkpoint

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

    def half(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(tmp_path / "run.pt", *run(steps=2), [{"epoch": 1}, {"epoch": 2}])
    assert epochs_done(tmp_path / "run.pt") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run.pt"]


class Trap:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["pickle", "torch", "truncated", "text", "empty", "tensor", "no history"])
def test_a_file_that_is_no_checkpoint_is_refused_on_one_line(tmp_path: Path, kind: str) -> None:
    path, sprung = tmp_path / "run.pt", tmp_path / "sprung"
    save_checkpoint(path, *run(steps=1), [])
    whole = path.read_bytes()
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"history": Trap(sprung)}, protocol=2))
    elif kind == "torch":
        torch.save({"history": [Trap(sprung)]}, path)
    elif kind == "tensor":
        torch.save(torch.ones(2), path)
    elif kind == "no history":
        torch.save({"model": {}}, path)
    else:
        path.write_bytes({"truncated": whole[: len(whole) // 2], "text": b"hello", "empty": b""}[kind])
    for read in (lambda: load_checkpoint(path, *run()), lambda: epochs_done(path)):
        with pytest.raises(
            UserError, match=r"run\.pt: not a checkpoint of this training \(\w+\); remove it$"
        ):
            read()
    assert not sprung.exists()


@pytest.mark.parametrize("part", ["model", "optimiser", "schedule"])
@pytest.mark.parametrize("content", [7, ["a"], None])
def test_a_checkpoint_with_another_thing_in_a_place_is_refused_on_one_line(
    tmp_path: Path, part: str, content: object
) -> None:
    path = tmp_path / "run.pt"
    save_checkpoint(path, *run(steps=1), [])
    torch.save(torch.load(path, weights_only=True) | {part: content}, path)
    with pytest.raises(UserError, match=r"^[^\n]*run\.pt: not a checkpoint of this training \(\w+\); rem"):
        load_checkpoint(path, *run())


def test_the_checkpoint_of_another_classifier_is_refused_on_one_line(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "run.pt", *run(width=4, steps=1), [])
    with pytest.raises(UserError, match=r"^[^\n]*not a checkpoint of this training[^\n]*$"):
        load_checkpoint(tmp_path / "run.pt", *run(width=3))
