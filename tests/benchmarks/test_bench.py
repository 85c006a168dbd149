"""The benchmarks run, write their tables, and judge them; what they measure here says nothing."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import bench
from benchmarks.common import in_turn, ratio


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all tables of tiny runs."""
    folder = tmp_path_factory.mktemp("tables")
    for name in bench.SCRIPTS:
        import_module(f"benchmarks.{name}").main(["--tiny", "--out", str(folder)])
    return folder


def test_every_script_writes_its_table(tables: Path) -> None:
    assert {path.stem for path in tables.glob("*.csv")} == set(bench.SCRIPTS)
    assert all(len(pd.read_csv(path)) for path in tables.glob("*.csv"))


def test_every_kind_of_target_is_judged(tables: Path) -> None:
    assert {target.number for target in bench.verdicts(tables)} == set(range(1, 8))


def test_the_extrapolated_epoch(tmp_path: Path) -> None:
    import_module("benchmarks.training").main(["--tiny", "--extrapolate", "--out", str(tmp_path)])
    rows = pd.read_csv(tmp_path / "epoch.csv")
    expected = rows["seconds_a_batch"] * 13_000 / rows["batch"] / 60
    assert rows["epoch_minutes_extrapolated"].to_numpy() == pytest.approx(expected.to_numpy(), rel=0.01)
    assert set(rows["training"]) == {"plain", "at_dual"} and set(rows["precision"]) == {"fp32", "bf16"}


def test_verdicts_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("dualperturb --help", 0.3, 0.4, False), ("train", 2.9, 2.5, True)]
    table = pd.DataFrame(rows, columns=["stage", "seconds", "limit", "torch_loaded"])
    table.to_csv(tmp_path / "stages.csv", index=False)
    bench.main(["--verdicts", "--out", str(tmp_path)])
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        "reached 6. seconds of dualperturb --help: 0.3 (<= 0.4)",
        "MISSED  6. seconds of train: 2.9 (<= 2.5)",
        "1 of 2 reached",
    ]


def test_a_ratio_is_taken_within_each_round() -> None:
    given = iter([9.0, 9.0, 1.0, 2.0, 6.0, 3.0, 5.0, 15.0])
    taken = in_turn({"a": lambda: None, "b": lambda: None}, 3, lambda _: next(given))
    assert taken == {"a": [1.0, 3.0, 5.0], "b": [2.0, 6.0, 15.0]}
    assert ratio(taken, "b", "a") == 2.0
