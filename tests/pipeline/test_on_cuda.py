"""Every stage on a simulated card, in this process, leaves what `dvc repro` left on the CPU, byte by byte.

So two runs that share no cache come to the same bytes, too.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from dualperturb.params import DEFENCES, TRAINED_BY_NORM
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
from tests.pipeline.workspace import Workspace
from tests.simulated_cuda import simulated_cuda

# Made from the results, without a device.
SHOWN = {common.REPORTS / name for name in ("index.html", "report.md")}


def run_all() -> None:
    """The pipeline in the current folder, from nothing to the results."""
    for stage in (prepare, masks):
        stage.main("shapes6")
    for defence in DEFENCES:
        train.main(defence, "shapes6", "L2" if defence in TRAINED_BY_NORM else None)
    for defence in ("clean", "at_pgd", "at_dual"):
        for sweep in common.SWEEPS:
            robustness.main(sweep, "shapes6", defence, "L2")
        strong.main("shapes6", defence, "L2")
    for stage in (transfer, unsuspicious, health):
        stage.main("shapes6", "L2")
    for stage in (jsma, gradients, smoothing, gallery, examples):
        stage.main("shapes6")
    tables.main()


@pytest.fixture(autouse=True)
def own_threads() -> Iterator[None]:
    threads = torch.get_num_threads()  # `strong` sets its own, and the order of sums follows it
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def left(folder: Path) -> dict[Path, bytes]:
    """What the pipeline's stages up to the results left in a folder, but for the seconds that they took."""
    kept = (common.PREPARED, common.MASKS, common.MODELS, common.REPORTS)
    files = [path for top in kept for path in (folder / top).rglob("*") if path.is_file()]
    return {path.relative_to(folder): path.read_bytes() for path in files}


def test_a_card_leaves_what_a_cpu_leaves(complete: Workspace, tmp_path: Path) -> None:
    shutil.copy2(complete.root / "params.yaml", tmp_path)
    with contextlib.chdir(tmp_path), simulated_cuda():
        assert common.device().type == "cuda"
        run_all()
    on_cpu, on_card = left(complete.root), left(tmp_path)
    compared = {path for path in on_card if not path.is_relative_to(common.TIMES)}
    assert {path for path in compared if on_card[path] != on_cpu.get(path)} == set()
    of_others = {path for path in on_cpu if path.is_relative_to(common.FIGURES) or path in SHOWN}
    assert on_card.keys() == on_cpu.keys() - of_others
    assert common.RESULTS in compared and any(path.is_relative_to(common.MODELS) for path in compared)
