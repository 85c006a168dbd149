"""The defences are named by the sections of `train`; what lists them elsewhere names the same ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from dualperturb.figures.names import LABELS
from dualperturb.params import DEFENCES, SMOOTHED, TRAINED_BY_NORM
from stages.common import SWEPT

ROOT = Path(__file__).resolve().parents[2]
PIPELINE: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
MODELS = {f"models/${{item.dataset}}/{defence}" for defence in SWEPT}


def test_they_are_the_papers() -> None:
    assert DEFENCES == ("clean", "at_pgd", "at_dual", "smoothing", "smoothing_dual")
    assert TRAINED_BY_NORM == ("at_pgd", "at_dual")
    assert tuple(LABELS) == DEFENCES


def test_the_pipeline_sweeps_those_that_the_stages_sweep() -> None:
    assert PIPELINE["vars"] == [{"swept": list(SWEPT), "smoothed": list(SMOOTHED)}]
    swept = {
        stage["matrix"]["defence"]
        for stage in PIPELINE["stages"].values()
        if "defence" in stage.get("matrix", {})
    }
    assert swept == {"${swept}", "${smoothed}"}


def test_each_has_a_stage_that_trains_it() -> None:
    trained = {
        str(out).replace("${item.defence}", defence)
        for stage in PIPELINE["stages"].values()
        for out in stage["outs"]
        for defence in (SMOOTHED if stage.get("matrix", {}).get("defence") == "${smoothed}" else [""])
        if str(out).startswith("models/")
    }
    assert trained == {f"models/${{item.dataset}}/{defence}" for defence in DEFENCES}


def test_a_stage_of_several_classifiers_depends_on_all_that_are_swept() -> None:
    needed = {name: MODELS & set(stage["deps"]) for name, stage in PIPELINE["stages"].items()}
    assert {name: found for name, found in needed.items() if found and found != MODELS} == {}
    assert any(needed.values())
