"""The dvc.lock that is committed: DVC leaves the entries of stages that are no more."""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML

from tests.pipeline.workspace import PROJECT


def read(name: str) -> dict[str, Any]:
    stages: dict[str, Any] = YAML(typ="safe").load(PROJECT / name)["stages"]
    return stages


def test_it_holds_the_stages_of_the_pipeline_and_no_other() -> None:
    """But those over `named`, of which params.yaml has none."""
    stages = {
        name for name, stage in read("dvc.yaml").items() if "${named}" not in stage.get("matrix", {}).values()
    }
    assert {name.partition("@")[0] for name in read("dvc.lock")} == stages
