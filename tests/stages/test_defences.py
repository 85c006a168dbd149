"""The defences are named by the sections of `train`; what lists them elsewhere names the same ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from dualperturb.figures.names import LABELS
from dualperturb.params import DEFENCES, SMOOTHED, TRAINED_BY_NORM

ROOT = Path(__file__).resolve().parents[2]
PIPELINE: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
SWEPT = [defence for defence in DEFENCES if defence not in SMOOTHED]
FOLDER = "models/${item.dataset}"


def test_they_are_the_papers() -> None:
    assert DEFENCES == ("clean", "at_pgd", "at_dual", "smoothing", "smoothing_dual")
    assert TRAINED_BY_NORM == ("at_pgd", "at_dual")
    assert tuple(LABELS) == DEFENCES


def test_what_is_measured_of_the_papers_is_measured_of_named_ones() -> None:
    assert PIPELINE["vars"] == [{"swept": SWEPT}]
    stages = {
        name: stage for name, stage in PIPELINE["stages"].items() if "defence" in stage.get("matrix", {})
    }
    over = {name: stage["matrix"]["defence"] for name, stage in stages.items()}
    swept = [name for name, defences in over.items() if defences == "${swept}"]
    assert swept == ["robustness_eps", "robustness_dual", "saliency", "strong"]
    named = {name for name, defences in over.items() if defences == "${named}"}
    assert named == {"train_named", *(f"{name}_named" for name in swept)}


def test_a_change_of_one_named_defence_trains_that_one() -> None:
    of_named = [name for name in PIPELINE["stages"]["train_named"]["params"] if ".named" in str(name)]
    assert of_named == ["${item.dataset}.train.named.${item.defence}"]


def test_each_has_a_stage_that_trains_it() -> None:
    trained = {
        out
        for stage in PIPELINE["stages"].values()
        for out in stage["outs"]
        if str(out).startswith("models/")
    }
    assert trained == {
        *(f"{FOLDER}/{defence}" for defence in SWEPT),
        f"{FOLDER}/${{item.defence}}",
        "models/smoothed/${item.dataset}",
    }


def test_a_stage_of_several_classifiers_depends_on_all_and_on_their_list() -> None:
    several = {name: stage for name, stage in PIPELINE["stages"].items() if FOLDER in stage.get("deps", ())}
    assert set(several) == {"transfer", "jsma", "gradients", "unsuspicious", "health", "gallery"}
    assert all("named" in stage["params"] for stage in several.values())
