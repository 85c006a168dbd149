"""Every stage on a simulated card leaves the files that it leaves on the CPU, byte by byte."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from ruamel.yaml import YAML

from stages import (
    common,
    examples,
    gallery,
    gradients,
    health,
    jsma,
    masks,
    prepare,
    robustness,
    smoothing,
    strong,
    tables,
    train,
    transfer,
    unsuspicious,
)
from tests.pipeline.workspace import TINY
from tests.simulated_cuda import simulated_cuda

SHIPPED = Path(__file__).resolve().parents[2] / "params.yaml"
# bfloat16 on a CPU depends on its instructions, and a card's float32 is all that is compared.
CHANGES = {**TINY, "runtime.precision": "fp32", "shapes6.evaluate.batch_size": 5}


def write_params(folder: Path) -> None:
    params: dict[str, Any] = copy.deepcopy(YAML(typ="safe", pure=True).load(SHIPPED.read_text()))
    for key, value in CHANGES.items():
        *parents, last = key.split(".")
        section = params
        for parent in parents:
            section = section[parent]
        section[last] = value
    (folder / "params.yaml").write_text(json.dumps(params))  # JSON is YAML, too


def run_all() -> None:
    """The pipeline in the current folder, from nothing to the results."""
    for stage in (prepare, masks):
        stage.main("shapes6")
    for defence, norm in (("clean", None), ("at_pgd", "L2"), ("at_dual", "L2"), ("smoothing", None)):
        train.main(defence, "shapes6", norm)
    for defence in common.SWEPT:
        for sweep in common.SWEEPS:
            robustness.main(sweep, "shapes6", defence, "L2")
        strong.main("shapes6", defence, "L2")
    for stage in (transfer, unsuspicious, health):
        stage.main("shapes6", "L2")
    for stage in (jsma, gradients, smoothing, gallery, examples):
        stage.main("shapes6")
    tables.main()


def made(folder: Path, kind: str, machine: AbstractContextManager[None]) -> dict[Path, bytes]:
    """What the pipeline leaves on that kind of device, but for the seconds that it took."""
    folder.mkdir()
    write_params(folder)
    with contextlib.chdir(folder), machine:
        assert common.device().type == kind
        run_all()
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return {path: (folder / path).read_bytes() for path in paths if not path.is_relative_to(common.TIMES)}


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    threads = torch.get_num_threads()  # `strong` sets its own, and the order of sums follows it
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_card_leaves_what_a_cpu_leaves(tmp_path: Path) -> None:
    on_cpu = made(tmp_path / "on_cpu", "cpu", contextlib.nullcontext())
    on_card = made(tmp_path / "on_card", "cuda", simulated_cuda())
    assert {path for path in on_cpu if on_card.get(path) != on_cpu[path]} == set()
    assert on_card.keys() == on_cpu.keys()
    assert common.RESULTS in on_cpu and any(path.is_relative_to(common.MODELS) for path in on_cpu)
