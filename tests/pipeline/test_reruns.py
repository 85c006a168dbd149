"""Which stages run again after a change: those whose result it can change, and no others."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.workspace import DVC, PROGRAMS, REPRO, Workspace

DEFENCES = ("clean", "at_pgd", "at_dual")
SWEEPS = ("robustness_eps", "robustness_dual", "saliency")
RESULTS = {"tables", "figures@shapes6", "report"}
CLEAN, PGD, DUAL = "train_clean@shapes6", "train_pgd@shapes6", "train_dual@shapes6"
SMOOTHING = "train_smoothing@shapes6"  # both of its classifiers
TRAINING = {CLEAN, PGD, DUAL, SMOOTHING}
EXAMPLES = {"examples@shapes6"}
# They attack; the others take gradients (gradients) or have an attack of their own (jsma, strong).
ATTACKING = {"transfer@shapes6", "unsuspicious@shapes6", "health@shapes6", "gallery@shapes6"}
# They load all classifiers of Fig. 4; `strong` runs once a defence, `smoothing` has classifiers of its own.
TOGETHER = ATTACKING | {"jsma@shapes6", "gradients@shapes6"}


def measured(*sweeps: str, on: tuple[str, ...] = DEFENCES) -> set[str]:
    return {f"{sweep}@shapes6-{one}" for sweep in sweeps for one in on}


EVERYTHING = (
    {"prepare@shapes6", "masks@shapes6", "smoothing@shapes6"}
    | TRAINING
    | measured(*SWEEPS, "strong")
    | TOGETHER
    | EXAMPLES
    | RESULTS
)

PARAMETERS: dict[str, tuple[Any, set[str]]] = {
    # AT-Dual trains with both budgets, and each panel of dual keeps one of them fixed.
    "eps_b": (
        10.0,
        {DUAL, "smoothing@shapes6"}
        | measured("robustness_dual", "strong")
        | measured("robustness_eps", "saliency", on=("at_dual",))
        | TOGETHER
        | RESULTS,
    ),
    "eps_f.L2": (
        1.0,
        {DUAL, "smoothing@shapes6"}
        | measured("robustness_dual", "strong")
        | measured("robustness_eps", "saliency", on=("at_dual",))
        | TOGETHER
        | RESULTS,
    ),
    "seeds.data": (1, EVERYTHING),
    "seeds.training": ([1], EVERYTHING - {"prepare@shapes6", "masks@shapes6"}),
    "seeds.attack": (
        1,
        measured(*SWEEPS, "strong") | ATTACKING | {"smoothing@shapes6"} | EXAMPLES | RESULTS,
    ),
    "shapes6.train.clean.epochs": (
        2,
        {CLEAN} | measured(*SWEEPS, "strong", on=("clean",)) | TOGETHER | RESULTS,
    ),
    # The examples fool AT-PGD.
    "shapes6.train.at_pgd.epochs": (
        2,
        {PGD} | measured(*SWEEPS, "strong", on=("at_pgd",)) | TOGETHER | EXAMPLES | RESULTS,
    ),
    "shapes6.train.at_dual.epochs": (
        2,
        {DUAL} | measured(*SWEEPS, "strong", on=("at_dual",)) | TOGETHER | RESULTS,
    ),
    "shapes6.train.smoothing.sigma": (0.5, {SMOOTHING, "smoothing@shapes6"} | RESULTS),
    "shapes6.train.smoothing_dual.mask": ("given", {SMOOTHING, "smoothing@shapes6"} | RESULTS),
    "shapes6.evaluate.steps": (
        3,
        measured(*SWEEPS) | ATTACKING | {"smoothing@shapes6"} | EXAMPLES | RESULTS,
    ),
    "shapes6.evaluate.salience_weights": ([0, 10], measured("saliency") | RESULTS),
    "shapes6.evaluate.strong.steps": (3, measured("strong") | RESULTS),
    # Health reads the sweep; Carlini and Wagner's attack is read off at its budgets.
    "shapes6.evaluate.grid.L2.eps": (
        [0, 3],
        measured("robustness_eps", "strong") | {"health@shapes6"} | RESULTS,
    ),
    "salience_weight.shapes6": (
        1.0,
        measured("robustness_dual") | {"transfer@shapes6", "health@shapes6", "smoothing@shapes6"} | RESULTS,
    ),
    "shapes6.evaluate.min_foreground_score": (
        "clean",
        measured("robustness_dual", "strong") | {"transfer@shapes6", "health@shapes6"} | RESULTS,
    ),
    "shapes6.evaluate.unsuspicious.reserve": (0.1, {"unsuspicious@shapes6"} | RESULTS),
    "figures.fig1.salience_weights": ([0, 1], EXAMPLES | {"gallery@shapes6", "figures@shapes6", "report"}),
    "figures.fig2.eps": (20.0, EXAMPLES | {"figures@shapes6", "report"}),
    "figures.fig3.eps_b": (10.0, measured("saliency") | RESULTS),
    "figures.fig4.norm": ("Linf", RESULTS),
    "figures.fig5.trained": ("Linf", RESULTS),
    # Results do not depend on it; the report shows it.
    "shapes6.evaluate.batch_size": (6, {"report"}),
    "plots.palette.at_pgd": ("#CC79A7", {"figures@shapes6", "report"}),
}

# A comment changes no result: after these stages runs the report alone, which shows the seconds they took.
# Health attacks as training did.
COMMENTS: dict[str, set[str]] = {
    "src/dualperturb/cli/data.py": set(),
    "src/dualperturb/figures/curves.py": {"figures@shapes6", "report"},
    "src/dualperturb/report/claims.py": {"report"},
    "src/dualperturb/training/loop.py": TRAINING | {"health@shapes6", "report"},
}


def test_the_table_names_every_stage(complete: Workspace) -> None:
    assert set(complete.lock()) == EVERYTHING


def test_again_nothing_runs_and_it_says_so(workspace: Workspace) -> None:
    outcome = workspace.repro().check()
    assert outcome.stages == []
    assert "Data and pipelines are up to date." in outcome.text


def would_run(workspace: Workspace) -> set[str]:
    """The stages of which DVC says that something changed, and those that read what one of them writes."""
    found = set(json.loads(workspace.run(*DVC, "status", "--json").check().text))
    lock = {
        stage: [{Path(part["path"]) for part in entry.get(kind, ())} for kind in ("deps", "outs")]
        for stage, entry in workspace.lock().items()
    }
    growing = True
    while growing:
        written = set().union(*(lock[stage][1] for stage in found))
        folders = {folder for path in written for folder in (path, *path.parents)}
        reading = {
            stage
            for stage, (deps, _) in lock.items()
            if deps & folders or any(folder in written for dep in deps for folder in dep.parents)
        }
        growing = not reading <= found
        found |= reading
    return found


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_parameter(workspace: Workspace, parameter: str) -> None:
    value, expected = PARAMETERS[parameter]
    workspace.change({parameter: value})
    assert would_run(workspace) == expected


def test_a_named_defence_is_trained_and_measured_and_no_other_is(workspace: Workspace) -> None:
    workspace.change({"named": ["random_masks"]})
    found = json.loads(workspace.run(*DVC, "status", "--json").check().text)
    new = {"train_named@shapes6-random_masks"}
    new |= {f"{name}_named@shapes6-random_masks" for name in (*SWEEPS, "strong")}
    assert set(found) == new | TOGETHER | RESULTS


def test_the_same_bytes_end_the_matter(workspace: Workspace) -> None:
    """AT-PGD's stage trains for all norms; with the one budget that it uses it ends with the same classifier.

    Health attacks as training did.
    """
    workspace.change({"shapes6.train.at_pgd.eps.Linf": 5.0})
    assert would_run(workspace) == PARAMETERS["shapes6.train.at_pgd.epochs"][1]
    assert set(workspace.repro().check().stages) == {PGD, "health@shapes6", "report"}


@pytest.mark.parametrize("module", COMMENTS)
def test_comment(workspace: Workspace, module: str) -> None:
    with (workspace.root / module).open("a") as file:
        file.write("# an afterthought\n")
    assert set(workspace.repro().check().stages) == COMMENTS[module]


@pytest.mark.parametrize(
    ("parameter", "value", "line"),
    [
        ("eps_b", "text", "error: params.yaml: eps_b: found 'text'"),
        ("shapes6.train.clean.epochs", 0, "error: params.yaml: shapes6.train.clean.epochs: found 0"),
    ],
)
def test_a_wrong_parameter_is_named_in_one_line(
    workspace: Workspace, parameter: str, value: Any, line: str
) -> None:
    workspace.change({parameter: value})
    outcome = workspace.repro()
    assert outcome.code != 0
    assert [found for found in outcome.text.splitlines() if found.startswith(line)] != []
    assert "Traceback" not in outcome.text


def test_a_killed_run_goes_on(workspace: Workspace, warm: Path) -> None:
    """SIGKILL to DVC and the stage in the middle of training; the next run ends as an undisturbed one."""
    workspace.change({"shapes6.train.at_dual.epochs": 40})
    workspace.programs = PROGRAMS  # a fork of the warm interpreter would outlive the process group
    running = workspace.start(*REPRO)
    checkpoints = workspace.root / "checkpoints/shapes6"
    while running.poll() is None and not list(checkpoints.glob("at_dual_L2-*.pt")):
        time.sleep(0.05)
    assert running.poll() is None, running.communicate()[0]
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    workspace.programs = warm
    resumed = workspace.repro().check()
    assert " of 40 epochs done, going on from epoch " in resumed.text
    assert set(resumed.stages) == PARAMETERS["shapes6.train.at_dual.epochs"][1]
    assert not list(checkpoints.glob("*.pt"))
    assert workspace.repro().check().stages == []
