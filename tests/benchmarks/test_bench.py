"""The benchmarks run, write their tables, and judge them; what they measure here says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import bench
from benchmarks.common import Table, in_turn, ratio, show


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


def test_stages_are_called_as_the_pipeline_calls_them() -> None:
    pipeline = (Path(__file__).parents[2] / "dvc.yaml").read_text().replace("${item.dataset}", "shapes6")
    for stage, (arguments, _) in import_module("benchmarks.stages").STAGES.items():
        given = " ".join([stage, *arguments[:1]])
        assert f"stages/run {given}" in pipeline or f"stages/run by_norm {given}" in pipeline, given


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


def test_rows_are_printed_and_on_disk_before_the_next_one_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, printed = [], []

    def rows() -> Iterator[dict[str, object]]:
        for number in (1.23456, 2.0):
            yield {"a": number, "b": "x"}
            found.append((tmp_path / "new" / "t.csv").read_text())
            printed.append(capsys.readouterr().out)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        show([Table("t", rows())], tmp_path / "new")
    assert found == ["a,b\n1.235,x\n", "a,b\n1.235,x\n2,x\n"]
    assert printed == ["| a | b |\n| --- | --- |\n| 1.235 | x |\n", "| 2 | x |\n"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["t.csv"]


def test_what_compile_auto_compiles_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.compile", lambda model, **_: model)
    import_module("benchmarks.precision").main(["--tiny", "--compile", "copy", "--out", str(tmp_path)])
    variants = pd.read_csv(tmp_path / "precision.csv")["variant"]
    assert list(variants) == ["fp32 eager", "bf16 copy", "bf16 copy compiled"]
