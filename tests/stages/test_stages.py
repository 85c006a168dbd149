"""Every stage after training on a tiny prepared folder, in the order of the pipeline."""

from __future__ import annotations

import copy
import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from ruamel.yaml import YAML

from dualperturb.attacks.adversary import PgdAdversary
from dualperturb.attacks.jsma import NEVER, JsmaResult
from dualperturb.attacks.training_masks import at_random_places
from dualperturb.core.classifiers.storage import ClassifierSpec, build_classifier, save_classifier
from dualperturb.core.images import ImageSet, load_split
from dualperturb.core.threat_model import ThreatModel
from dualperturb.datasets import prepare
from dualperturb.errors import UserError
from dualperturb.evaluation import gradients as evaluation_gradients
from dualperturb.evaluation import smoothing as evaluation_smoothing
from dualperturb.evaluation.health.training import Trained
from dualperturb.evaluation.smoothing import Sampling
from dualperturb.evaluation.tables import LOSS
from dualperturb.evaluation.tidy import wide
from dualperturb.figures import read_arrays, read_examples
from dualperturb.params import AXES, DEFENCES, SMOOTHED, load_params
from stages import (
    common,
    examples,
    figures,
    gallery,
    gradients,
    health,
    jsma,
    masks,
    report,
    robustness,
    smoothing,
    strong,
    tables,
    transfer,
    unsuspicious,
)
from stages import train as train_stage
from stages.subject import attack_settings, subject

ROOT = Path(__file__).resolve().parents[2]
YAML_1_2 = YAML(typ="safe", pure=True)
SHIPPED: dict[str, Any] = YAML_1_2.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
NORMS: list[str] = SHIPPED["norms"]
FIGURES: dict[str, Any] = SHIPPED["figures"]
PIPELINE: dict[str, Any] = YAML_1_2.load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
MEASURES = ("transfer", "jsma", "strong", "smoothing", "unsuspicious", "health")
TINY = {
    "shapes6.data.train": 24,
    "shapes6.data.test": 12,
    "shapes6.evaluate.n": 10,
    "shapes6.evaluate.steps": {"L2": 2, "Linf": 3},
    "shapes6.evaluate.batch_size": 4,
    "shapes6.evaluate.examples": [11, 0],
    **{
        f"shapes6.evaluate.{name}.n": 6
        for name in ("transfer", "jsma", "strong", "smoothing", "unsuspicious", "health")
    },
    "shapes6.evaluate.jsma.shares": [0.005, 0.01],
    "shapes6.evaluate.strong.steps": 3,
    "shapes6.evaluate.strong.library_n": 2,
    "shapes6.evaluate.strong.square_queries": 5,
    "shapes6.evaluate.strong.cw": {"steps": 4, "searches": 2, "n": 3},
    "shapes6.evaluate.smoothing.n0": 5,
    "shapes6.evaluate.smoothing.samples": 20,
    "shapes6.evaluate.smoothing.prediction_samples": 15,
    "shapes6.evaluate.salience_weights": [0, 1],
    **{f"shapes6.evaluate.grid.{norm}.{axis}": [0, 2] for axis in ("eps", "eps_f") for norm in NORMS},
    **{f"shapes6.evaluate.grid.{norm}.eps_b": [5, 20] for norm in NORMS},
}
COLUMNS = [
    *("dataset", "defence", "trained_norm", "training", "attack", "axis", "value", "norm", "eps_f", "eps_b"),
    *("eps_f_spent", "eps_b_spent", "salience_weight", "loss", "salience_every", "min_foreground_score"),
    *("steps", "n"),
    *("accuracy", "accuracy_low", "accuracy_high"),
    *("foreground_score", "foreground_score_low", "foreground_score_high"),
]

SWEPT = tuple(defence for defence in DEFENCES if defence not in SMOOTHED)
NAMED = "random_masks"  # of params.yaml


def write_params(folder: Path, **changes: object) -> None:
    params = copy.deepcopy(SHIPPED)
    for key, value in {**TINY, **changes}.items():
        *parents, last = key.split(".")
        section = params
        for parent in parents:
            section = section[parent]
        section[last] = value
    (folder / "params.yaml").write_text(json.dumps(params))  # JSON is YAML, too


def outs(stage: str, **item: str) -> set[str]:
    """The paths that dvc.yaml names as made by a stage."""
    described = PIPELINE["stages"][stage]
    found = [*described.get("outs", []), *described.get("metrics", [])]
    paths = {str(next(iter(out)) if isinstance(out, dict) else out) for out in found}
    for name, value in item.items():
        paths = {path.replace(f"${{item.{name}}}", value) for path in paths}
    return paths


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def check_outs(folder: Path, run: Callable[[], None], expected: set[str]) -> None:
    """What `run` writes is what dvc.yaml names: nothing missing, nothing beside it, nothing half written."""
    before = files(folder)
    run()
    written = {
        path.relative_to(folder).as_posix()
        for path, time in files(folder).items()
        if before.get(path) != time
    }
    assert {
        out for out in expected if not any(path == out or path.startswith(f"{out}/") for path in written)
    } == set()
    assert {
        path for path in written if not any(path == out or path.startswith(f"{out}/") for out in expected)
    } == set()


def prepared(folder: Path, **changes: object) -> Path:
    """A project folder with parameters, prepared images and untrained classifiers."""
    write_params(folder, **changes)
    params = load_params(folder / "params.yaml")
    meta = prepare("shapes6", params, folder / "data/raw/shapes6", folder / "data/prepared/shapes6")
    spec = ClassifierSpec("small_resnet", tuple(meta["class_names"]))
    classifiers = [(defence, norm) for defence in params.defences for norm in params.trained(defence)]
    for training in params.seeds.training:
        for seed, (defence, norm) in enumerate(classifiers):
            model = build_classifier(spec, seed=seed + 10 * training)
            save_classifier(
                folder / common.classifier_folder("shapes6", defence, norm, training), model, spec
            )
            if norm is not None:
                epochs = params.of("shapes6").train.of(defence).epochs
                write_history(folder, epochs, defence, norm, training)
    return folder


def write_history(folder: Path, epochs: int, defence: str, norm: str, training: int) -> None:
    """As training leaves it; with so bad a log no classifier is worse."""
    path = folder / common.history_path("shapes6", defence, norm, training)
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame({"epoch": range(1, epochs + 1), "accuracy": 0.0}).to_csv(path, index=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after every stage; each stage's outputs are checked on the way."""
    folder = prepared(tmp_path_factory.mktemp("project"))
    threads = torch.get_num_threads()  # `strong` sets its own, and the order of sums follows it
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(
            common, "load_params", functools.cache(load_params)
        )  # reading YAML takes longer than a stage
        patch.setattr(report, "version", lambda name: "0")  # of packages, which need not be installed here
        check_outs(folder, lambda: masks.main("shapes6"), outs("masks", dataset="shapes6"))
        for sweep in common.SWEEPS:
            stage = "saliency" if sweep == "salience_weight" else f"robustness_{sweep}"
            norms = [FIGURES["fig3"]["norm"]] if sweep == "salience_weight" else NORMS
            swept = [(d, n) for d in SWEPT for n in norms]
            for defence, norm in swept:
                expected = outs(stage, dataset="shapes6", defence=defence, norm=norm)
                check_outs(
                    folder, lambda s=sweep, d=defence, n=norm: robustness.main(s, "shapes6", d, n), expected
                )
        for stage in (jsma, gradients, smoothing, gallery, examples):
            name = stage.__name__.removeprefix("stages.")
            check_outs(folder, lambda s=stage: s.main("shapes6"), outs(name, dataset="shapes6"))
        for norm in NORMS:
            for stage in (transfer, unsuspicious, health):
                name = stage.__name__.removeprefix("stages.")
                expected = outs(name, dataset="shapes6", norm=norm)
                check_outs(folder, lambda s=stage, n=norm: s.main("shapes6", n), expected)
            for defence in SWEPT:
                expected = outs("strong", dataset="shapes6", defence=defence, norm=norm)
                check_outs(folder, lambda d=defence, n=norm: strong.main("shapes6", d, n), expected)
        check_outs(folder, tables.main, outs("tables"))
        check_outs(folder, lambda: figures.main("shapes6"), outs("figures", dataset="shapes6"))
        check_outs(folder, report.main, outs("report"))
    torch.set_num_threads(threads)
    return folder


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The prepared folder with masks and classifiers, by links; parameters of its own."""
    write_params(tmp_path)
    for name in ("data", "models"):
        (tmp_path / name).symlink_to(finished / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


JUDGED = ("bound", "unsuspicious")  # axes of attacks whose examples are judged by saliency models


def sweeps(folder: Path) -> pd.DataFrame:
    """The rows of the panels."""
    results = wide(pd.read_csv(folder / "reports/results.csv"))
    return results[results["axis"].isin(AXES) & results["attack"].isin(("pgd", "dual"))]


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of one norm, two trainings and a named defence after every stage."""
    less = {"norms": ["L2"], "named": [NAMED], "seeds.training": [0, 3], "shapes6.evaluate.examples": [0]}
    less |= {"shapes6.evaluate.n": 5, "shapes6.evaluate.unsuspicious.bounds": ["clean"]}
    less |= {
        f"shapes6.evaluate.{name}.n": 4
        for name in ("transfer", "jsma", "strong", "smoothing", "unsuspicious", "health")
    }
    folder = prepared(tmp_path_factory.mktemp("several"), **less)
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(common, "load_params", functools.cache(load_params))
        patch.setattr(report, "version", lambda name: "0")
        masks.main("shapes6")
        for defence in (*SWEPT, NAMED):
            for sweep in common.SWEEPS:
                robustness.main(sweep, "shapes6", defence, "L2")
            strong.main("shapes6", defence, "L2")
        for stage in (jsma, gradients, smoothing, gallery, examples):
            stage.main("shapes6")
        for stage in (transfer, unsuspicious, health):
            stage.main("shapes6", "L2")
        tables.main()
        figures.main("shapes6")
        report.main()
    torch.set_num_threads(threads)
    return folder


def test_every_training_is_measured(several: Path) -> None:
    results = wide(pd.read_csv(several / "reports/results.csv"))
    assert set(results["training"]) == {0, 3}
    first, second = (part.reset_index(drop=True) for _, part in results.groupby("training"))
    said = ["defence", "trained_norm", "attack", "axis", "value", "norm", "judge", "source", "eps_b"]
    pd.testing.assert_frame_equal(first[said], second[said])
    assert not first["foreground_score"].equals(second["foreground_score"])
    images = pd.read_csv(several / "reports/cells/shapes6/eps/at_pgd/L2.images.csv")
    assert (images.groupby(["training", "value"]).size() == 5).all() and set(images["training"]) == {0, 3}


def test_pictures_are_those_of_the_first_training(
    several: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made anew where there is no other."""
    shutil.copy(several / "params.yaml", tmp_path)
    (tmp_path / "data").symlink_to(several / "data")
    shutil.copytree(several / "models", tmp_path / "models", ignore=shutil.ignore_patterns("3"))
    monkeypatch.chdir(tmp_path)
    examples.main("shapes6")
    gallery.main("shapes6")
    for name in ("examples/shapes6/dual.npz", "examples/shapes6/noise.npz", "gallery/shapes6.npz"):
        ours, theirs = (read_arrays(folder / "reports" / name) for folder in (tmp_path, several))
        assert all(np.array_equal(ours[key], theirs[key]) for key in theirs)
    assert len(ours["classifiers"]) == 4


def test_a_named_defence_is_in_every_table_figure_and_claim(several: Path) -> None:
    results = wide(pd.read_csv(several / "reports/results.csv"))
    measures = {"attack": results["attack"].fillna("gradients"), "axis": results["axis"]}
    points = results.assign(**measures).groupby(["defence", "attack", "axis"]).size()
    assert points[NAMED].to_dict() == points["at_dual"].to_dict()
    assert f"{NAMED}_L2" in set(results["source"].dropna())
    assert set(json.loads((several / "reports/metrics.json").read_text())["shapes6"]["L2"]) == {*SWEPT, NAMED}
    claims = pd.read_csv(several / "reports/claims.csv")
    own = claims[claims["defence"] == NAMED]
    measures = {"jsma", "gradients", "at_dual_unsuspicious"}
    assert set(own["claim"]) == {"dual_stronger", "at_dual_leads", "little_lost"} | measures
    assert set(own["setting"]) == {"ours"}
    page = (several / "reports/index.html").read_text(encoding="utf-8")
    assert f"{NAMED} is up to 40 points better than AT-PGD under dual" in page
    for axis in AXES:
        curve = pd.read_csv(several / f"reports/curves/{axis}/shapes6_L2.csv")
        assert list(curve.columns) == [axis, *SWEPT, NAMED]


def test_health_attacks_a_named_defence_with_the_masks_that_it_trained_with(
    several: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(several)
    settings = load_params(Path("params.yaml"))
    measured = subject("shapes6", NAMED, "L2", 3, settings)
    trained = health._trained("shapes6", NAMED, "L2", 3, settings, measured)
    given = np.load("data/masks/shapes6/train.foreground.npy")
    assert trained is not None and np.array_equal(trained.subject.foreground, at_random_places(given, 3))


def test_several_trainings_are_shown_as_their_mean(several: Path) -> None:
    results = wide(pd.read_csv(several / "reports/results.csv"))
    at = results[(results["axis"] == "eps_b") & (results["value"] == 20) & (results["defence"] == "at_dual")]
    found = json.loads((several / "reports/metrics.json").read_text())["shapes6"]["L2"]["at_dual"]
    assert found["dual"] == pytest.approx(at["accuracy"].mean()) and len(at) == 2
    page = (several / "reports/index.html").read_text(encoding="utf-8")
    assert "over 2 trainings" in page and "Of 2 trainings the mean" in page
    assert "AT-Dual, seed 3: the figures" in page and "5 images a point, means over 2 trainings" in page


def test_a_bound_on_dual_attacks_is_in_the_results_and_on_the_page(
    several: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = json.loads((several / "params.yaml").read_text())
    params["shapes6"]["evaluate"]["min_foreground_score"] = "clean"
    (tmp_path / "params.yaml").write_text(json.dumps(params))
    for name in ("data", "models"):
        (tmp_path / name).symlink_to(several / name)
    shutil.copytree(several / "reports", tmp_path / "reports")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report, "version", lambda name: "0")
    for defence in (*SWEPT, NAMED):
        robustness.main("dual", "shapes6", defence, "L2")
        strong.main("shapes6", defence, "L2")
    transfer.main("shapes6", "L2")
    tables.main()
    report.main()
    results = wide(pd.read_csv("reports/results.csv"))
    bounded = results["axis"].isin(("eps_f", "eps_b", "strong", "transfer"))
    bounded &= results["attack"].isin(("dual", "dual_autoattack"))
    assert set(results.loc[bounded, "min_foreground_score"]) == {"clean"}
    assert set(results.loc[bounded, "axis"]) == {"eps_f", "eps_b", "strong", "transfer"}
    assert results.loc[~bounded, "min_foreground_score"].isna().all()
    for name in ("index.html", "report.md"):
        text = Path("reports", name).read_text(encoding="utf-8")
        assert "dual, eps_f = 2, eps_b = 20, S ≥ clean" in text
        assert text.count("keeps the foreground score S at or above that of the original image") >= 2


def test_results_have_the_columns_and_one_row_a_point(finished: Path) -> None:
    results = sweeps(finished)
    assert set(COLUMNS) <= set(results.columns)
    points = results.groupby(["defence", "trained_norm", "norm", "axis", "value", "loss"])
    classifiers, alike = 1 + 2 + 2, 1 + 1 + 1
    assert len(results) == len(points) == classifiers * 2 * 3 * 2 + alike * 2 * 2
    assert (results["n"] == 10).all()


def test_every_measure_is_in_the_results(finished: Path) -> None:
    results = wide(pd.read_csv(finished / "reports/results.csv"))
    found = results.groupby(["attack", "axis"], dropna=False).size()
    classifiers, norms, alike = 5, 2, 3
    shares, radii = 3, 2  # 20 noisy copies certify no more than 0.137
    smoothed, budgets = 2, 7  # the least spends 0.286
    judged = ("pgd", "dual", "sum", "constrained", "guided", "any")
    assert {key: count for key, count in found.items() if key[1] not in AXES} == {
        ("jsma", "share"): classifiers * shares,
        **{(attack, "transfer"): classifiers**2 * norms for attack in ("pgd", "dual")},
        **{(attack, "strong"): alike * norms for attack in ("pgd", "dual", "dual_autoattack", "autoattack")},
        ("certificate", "radius"): smoothed * radii,
        ("certificate", "eps_b_out_of_reach"): smoothed * budgets,
        **{(attack, "smoothing"): norms for attack in ("pgd", "dual")},
        **{(attack, "bound"): alike * norms * 21 for attack in judged},
        **{(attack, "unsuspicious"): alike * norms * 6 for attack in judged},
        **{key: classifiers for key in found.index if key[1] == "gradient"},
    }
    assert found["cw", "eps"] == alike * 2, "in L2 alone, at each of PGD's budgets"
    searched = results[results["attack"] == "cw"]
    assert set(searched["steps"]) == {4} and set(searched["n"]) == {3}
    assert set(results.loc[results["attack"] == "autoattack", "n"]) == {2}
    accuracy = results.dropna(subset="accuracy")
    assert (
        (accuracy["accuracy_low"] <= accuracy["accuracy"])
        & (accuracy["accuracy"] <= accuracy["accuracy_high"])
    ).all()


def test_every_attack_takes_the_steps_of_its_norm(finished: Path) -> None:
    results = pd.read_csv(finished / "reports/results.csv")
    own = results[results["attack"].isin(("pgd", "dual")) & (results["axis"] != "strong")]
    taken = own.groupby(["axis", "norm"])["steps"].unique().map(list)
    assert set(taken.index.get_level_values("axis")) == {*AXES, "transfer", "smoothing", *JUDGED}
    assert {norm: part.sum() for norm, part in taken.groupby("norm")} == {
        "L2": [2] * (len(AXES) + 4),
        "Linf": [3] * (len(AXES) + 3),
    }


def test_the_stages_that_name_no_steps_take_those_of_the_norm_too(project: Path) -> None:
    settings = load_params(project / "params.yaml")
    assert attack_settings("shapes6", "L2", settings).steps == 2
    assert attack_settings("shapes6", "Linf", settings).steps == 3


def test_the_gallery_attacks_each_norm_with_its_steps(
    finished: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[tuple[str, int]] = set()

    def noted(subject: Any, batch: Any, threat: ThreatModel, weight: float, chosen: Any) -> tuple[None, None]:
        seen.add((threat.norm, chosen.steps))
        return None, None

    monkeypatch.setattr("dualperturb.evaluation.measuring.scoring.attack_batch", noted)
    made = gallery.attacks(load_params(project / "params.yaml"), "shapes6", 32)
    for name, (_, attack) in made.items():
        if not name.startswith("JSMA"):
            attack(None, None)  # type: ignore[arg-type]
    assert seen == {("L2", 2), ("Linf", 3)}


def test_carlini_and_wagner_have_a_setting_of_their_own(
    finished: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int, int]] = []

    def noted(measured: Any, size: int, steps: int, searches: int) -> np.ndarray:
        asked.append((len(measured.indices), steps, searches))
        return np.array([0.0, np.inf, 0.0])

    monkeypatch.setattr("dualperturb.evaluation.libraries.carlini_wagner_norms", noted)
    settings = load_params(project / "params.yaml")
    chosen = settings.of("shapes6").evaluate.strong.cw
    measured = subject("shapes6", "clean", None, 0, settings, chosen.n)
    rows, images = strong.carlini_wagner(measured, settings, "shapes6")
    assert asked == [(3, 4, 2)] and [row["steps"] for row in rows] == [4, 4]
    for table in images:
        assert table["index"].tolist() == measured.indices.tolist()
        assert table["correct"].tolist() == [False, True, False]


def test_jsma_goes_up_to_the_largest_share(
    finished: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest: list[float] = []

    def noted(model: Any, images: Any, labels: Any, *, max_share: float, pixels_per_step: int) -> JsmaResult:
        largest.append(max_share)
        return JsmaResult(images, labels > -1, labels, labels)

    monkeypatch.setattr("dualperturb.attacks.jsma.jsma", noted)
    settings = load_params(project / "params.yaml")
    measured = subject("shapes6", "clean", None, 0, settings, 2)
    jsma.first_fooled(measured, settings.of("shapes6").evaluate.jsma, 2)
    gallery.attacks(settings, "shapes6", 32)["JSMA (L0)"][1](measured, next(iter(measured.batches(2))))
    assert largest == [0.01, 0.01]


def test_jsma_tells_what_each_image_withstands(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fooled by 0, 5, 6, 10 and 11 pixels, or never, of which 5 and 10 may change."""
    monkeypatch.setattr(jsma, "first_fooled", lambda *_: torch.tensor([0, 5, 6, 10, 11, NEVER]))
    jsma.main("shapes6")
    images = pd.read_csv("reports/measures/shapes6/jsma.images.csv")
    chosen = subject("shapes6", "clean", None, 0, load_params(project / "params.yaml"), 6).indices
    for share, withstood in ((0.0, range(1, 6)), (0.005, range(2, 6)), (0.01, range(4, 6))):
        own = images[(images["defence"] == "clean") & (images["value"] == share)]
        assert own["index"].tolist() == chosen.tolist()
        assert own["index"][own["correct"]].tolist() == chosen[list(withstood)].tolist()


def test_certificates_and_predictions_have_numbers_of_noisy_copies_of_their_own(
    finished: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, set[int]] = {"certify_images": set(), "attack_smoothed": set()}

    def watched(name: str) -> Callable[..., pd.DataFrame]:
        original = getattr(evaluation_smoothing, name)

        def noted(measured: Any, *given: Any, **named: Any) -> pd.DataFrame:
            drawn[name].add(next(one for one in (*given, *named.values()) if isinstance(one, Sampling)).n)
            return original(measured, *given, **named)

        return noted

    for name in drawn:
        monkeypatch.setattr(evaluation_smoothing, name, watched(name))
    smoothing.main("shapes6")
    assert drawn == {"certify_images": {20}, "attack_smoothed": {15}}
    table = pd.read_csv("reports/measures/shapes6/smoothing.csv")
    certified = table[table["attack"] == "certificate"].groupby(["defence", "axis"])["value"].apply(list)
    budgets, radii = [0, 1, 2, 3, 5, 10, 20], [0, 0.1]
    assert certified.tolist() == [budgets, radii, budgets, radii]
    beyond = table[table["axis"] == "eps_b_out_of_reach"].set_index(["defence", "value"])
    assert beyond["eps_b_spent"]["smoothing_dual", 20] == pytest.approx(20 / 7)
    assert len(beyond) == 2 * 7 and (beyond["accuracy"] == 0).all(), "20 copies certify less than eps_f"
    told = (finished / "reports/report.md").read_text()
    beyond = "0.137 (above it and so not shown: 0.2, 0.3, 0.4, 0.5, 0.55)"
    assert f"Smoothing {beyond}, Smoothing-Dual {beyond}. (b)" in told
    assert "class by 15 noisy copies" in told


def test_every_classifier_has_its_health_table(finished: Path) -> None:
    for norm in NORMS:
        table = pd.read_csv(finished / f"reports/health/shapes6/{norm}.csv")
        assert set(table["defence"]) == set(SWEPT) and set(table["trained_norm"]) == {"none", norm}
        assert table.groupby("defence").size().to_dict() == {"clean": 12, "at_pgd": 13, "at_dual": 13}
        assert table["passed"].dtype == bool
        asked = table[table["check"] == "training"]
        assert asked["passed"].all() and (asked["n"] == 6).all()


def test_health_compares_with_the_log_of_the_classifiers_own_last_epoch(
    finished: Path, project: Path
) -> None:
    shutil.copytree(finished / "reports", project / "reports", dirs_exist_ok=True)
    path = common.history_path("shapes6", "at_dual", "Linf", 0)
    pd.read_csv(path).assign(accuracy=[0.0] * 9 + [1.0]).to_csv(path, index=False)
    health.main("shapes6", "Linf")
    table = pd.read_csv("reports/health/shapes6/Linf.csv").set_index(["defence", "check"])
    assert not table.loc[("at_dual", "training"), "passed"] and table.loc[("at_pgd", "training"), "passed"]
    assert "logged 100.0 %" in table.loc[("at_dual", "training"), "figures"]


def test_health_attacks_the_train_split_with_trainings_own_adversary(
    finished: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished / "reports", project / "reports", dirs_exist_ok=True)
    write_params(project, **{"shapes6.train.at_dual.steps": 30})
    seen: list[Trained | None] = []

    def noted(*arguments: Any) -> pd.DataFrame:
        seen.append(arguments[5])
        return pd.DataFrame({"check": ["none"]})

    monkeypatch.setattr("dualperturb.evaluation.health.checks.health", noted)
    health.main("shapes6", "L2")
    assert seen[0] is None
    scale = 32 / 224
    for trained, steps, eps_b in zip(seen[1:], (3, 30), (None, 20 * scale), strict=True):
        assert trained is not None and isinstance(trained.adversary, PgdAdversary)
        assert trained.adversary.threat == ThreatModel("L2", 2 * scale, eps_b)
        assert (trained.adversary.steps, trained.adversary.step_size) == (steps, 0.5)
        assert trained.adversary.compile == "off"
    dual = seen[2]
    assert dual is not None
    images = np.load("data/prepared/shapes6/train.images.npy")
    masks_used = np.load("data/masks/shapes6/train.foreground.npy")
    assert np.array_equal(dual.subject.data.images, images) and len(dual.subject.indices) == 6
    assert np.array_equal(dual.subject.foreground, masks_used)


def test_health_takes_all_training_images_where_there_are_fewer(
    finished: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished / "reports", project / "reports", dirs_exist_ok=True)

    def four(folder: Path, split: str) -> ImageSet:
        data = load_split(folder, split)
        return ImageSet(data.images[:4], data.labels[:4], data.class_names)

    monkeypatch.setattr("dualperturb.core.images.load_split", four)
    health.main("shapes6", "L2")
    table = pd.read_csv("reports/health/shapes6/L2.csv")
    assert set(table.loc[table["check"] == "training", "n"]) == {4}
    assert set(table.loc[table["check"] == "steps", "n"]) == {6}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            None,
            r"at_pgd/L2/0\.csv: cannot be read as a table .*make it anew with",
        ),
        (
            "epoch,accuracy\n1,0.5\n",
            r"at_pgd/L2/0\.csv: found 1 epochs, expected the 10 of params\.yaml; train",
        ),
        ("epoch,loss\n" + "1,0.5\n" * 10, r"at_pgd/L2/0\.csv: lacks the column accuracy; "),
    ],
    ids=["absent", "short", "no accuracy"],
)
def test_a_history_that_is_absent_or_short_is_one_line(
    finished: Path, project: Path, content: str | None, line: str
) -> None:
    shutil.copytree(finished / "reports", project / "reports", dirs_exist_ok=True)
    path = common.history_path("shapes6", "at_pgd", "L2", 0)
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match=line) as caught:
        health.main("shapes6", "L2")
    assert "\n" not in str(caught.value)


def test_what_is_spent_is_the_budget_scaled_to_the_side(finished: Path) -> None:
    results = sweeps(finished)
    scale = results["norm"].map({"L2": 32 / 224, "Linf": 1 / 255})
    for name in ("eps_f", "eps_b"):
        assert np.allclose(results[f"{name}_spent"], results[name] * scale, rtol=1e-12)
    whole = results[results["axis"] == "eps"]
    assert (whole["eps_f"] == whole["value"]).all() and (whole["eps_b"] == whole["value"]).all()
    assert set(results.loc[results["axis"] == "eps_f", "eps_b"]) == {20.0}
    over_background = results[results["axis"] == "eps_b"].set_index("norm")["eps_f"]
    assert set(over_background["L2"]) == {2.0} and set(over_background["Linf"]) == {4.0}
    assert set(results.loc[results["axis"] == "salience_weight", "salience_weight"]) == {0.0, 1.0}


def test_a_point_of_two_panels_is_the_same_in_both(finished: Path) -> None:
    results = sweeps(finished)
    dual = results[results["axis"].isin(("eps_f", "eps_b")) & (results["norm"] == "L2")]
    shared = dual[(dual["eps_f"] == 2) & (dual["eps_b"] == 20)].drop(columns=["axis", "value"])
    assert len(shared) == 2 * len(shared.drop_duplicates()) == 2 * 5


def test_images_agree_with_points_and_lie_in_their_budgets(finished: Path) -> None:
    chosen = set()
    for row in sweeps(finished).itertuples():
        name = f"reports/cells/shapes6/{row.axis}/{row.defence}/{row.norm}.images.csv"
        table = pd.read_csv(finished / name)
        own = table[
            (table["value"] == row.value)
            & (table["loss"] == row.loss)
            & (table["trained_norm"] == row.trained_norm)
        ]
        assert len(own) == own["index"].nunique() == row.n
        assert own["correct"].mean() == pytest.approx(row.accuracy)
        assert own["foreground_score"].mean() == pytest.approx(row.foreground_score, abs=1e-6)
        if row.attack == "dual":
            assert (own["foreground_norm"] <= row.eps_f_spent * 1.0001 + 1e-7).all()
        chosen.add(tuple(own["index"]))
    assert len(chosen) == 1, "every point is measured on the same images"


def test_metrics_and_curves_are_those_of_the_results(finished: Path) -> None:
    results = sweeps(finished)
    found = json.loads((finished / "reports/metrics.json").read_text())
    assert set(found) == {"shapes6"} and set(found["shapes6"]) == set(NORMS)
    at = results[(results["defence"] == "at_dual") & (results["axis"] == "eps_b") & (results["value"] == 20)]
    for norm in NORMS:
        own = at[(at["norm"] == norm) & (at["trained_norm"] == norm)]
        assert set(found["shapes6"][norm]) == set(SWEPT)
        assert found["shapes6"][norm]["at_dual"]["dual"] == pytest.approx(float(own["accuracy"].iloc[0]))
    for axis in AXES:
        for norm in tables.norms_of(axis, load_params(finished / "params.yaml")):
            curve = pd.read_csv(finished / f"reports/curves/{axis}/shapes6_{norm}.csv")
            assert list(curve.columns) == [axis, *SWEPT]


def test_the_claims_are_those_of_the_results(finished: Path) -> None:
    claims, results = pd.read_csv(finished / "reports/claims.csv"), sweeps(finished)
    assert set(claims["setting"]) == {"paper", "ours"} and (claims["dataset"] == "shapes6").all()
    broken = claims[claims["claim"] == "at_pgd_broken"]
    assert list(broken["norm"]) == NORMS
    for line in broken.itertuples():
        point = results[
            (results["axis"] == "eps_b") & (results["value"] == 20) & (results["norm"] == line.norm)
        ]
        own = point[(point["defence"] == "at_pgd") & (point["trained_norm"] == line.norm)].iloc[0]
        assert (line.value, line.low, line.high) == pytest.approx(
            tuple(own[["accuracy", "accuracy_low", "accuracy_high"]])
        )
    raised = claims[(claims["claim"] == "weight_raises") & (claims["defence"] == "at_dual")]
    weights = results[(results["axis"] == "salience_weight") & (results["defence"] == "at_dual")]
    for line in raised.to_dict("records"):
        own = weights[weights[LOSS] == line[LOSS]].set_index("value")["foreground_score"]
        assert line["value"] == pytest.approx(own[1] - own[0], abs=1e-6)
    assert len(raised) == weights[LOSS].nunique() == 2


def test_the_claims_follow_the_norms_of_their_figures(project: Path, finished: Path) -> None:
    shutil.copytree(finished / "reports", "reports")
    moved = {"figures.fig4.norm": "Linf", "figures.fig5": {"norm": "L2", "trained": "Linf"}}
    write_params(project, **moved)
    tables.main()
    claims = pd.read_csv("reports/claims.csv").query("setting == 'paper'").drop_duplicates("claim")
    names = ["at_pgd_broken", "score_half", "across_pgd", "jsma", "carlini_wagner"]
    norms = claims.set_index("claim").loc[names, ["trained_norm", "norm"]].to_numpy().tolist()
    assert norms == [["Linf", "Linf"], ["L2", "L2"], ["Linf", "L2"], ["Linf", "L0"], ["L2", "L2"]]


@pytest.mark.parametrize(
    ("claim", "axis", "measure", "column", "counts"),
    [
        ("jsma", "share", "accuracy", "correct", (6, 4)),
        ("gradients", "gradient", "gradient_share", "gradient_share", (10, 5)),
    ],
)
def test_trained_classifiers_are_compared_image_by_image(
    finished: Path, several: Path, claim: str, axis: str, measure: str, column: str, counts: tuple[int, int]
) -> None:
    """With one training and with two; the tables of images agree with those of points."""
    keys = ["defence", "training", "value"]
    for folder, count in zip((finished, several), counts, strict=True):
        results = wide(pd.read_csv(folder / "reports/results.csv")).fillna({"value": 0.0})
        points = results[(results["axis"] == axis) & results["trained_norm"].isin(("none", "L2"))]
        images = pd.read_csv(folder / f"reports/measures/shapes6/{claim}.images.csv")
        means = images[images["trained_norm"] != "Linf"].groupby(keys)[column].mean()
        pd.testing.assert_series_equal(points.set_index(keys)[measure].sort_index(), means, check_names=False)
        most = means.xs(points["value"].max(), level="value").unstack("defence")
        claims = pd.read_csv(folder / "reports/claims.csv")
        own = claims[(claims["claim"] == claim) & (claims["trained_norm"] == "L2")]
        (line,) = own[own["defence"] == "at_dual"].itertuples()
        assert line.value == pytest.approx((most["at_dual"] - most["at_pgd"]).mean())
        assert line.n == count and line.interval == "paired" and line.p <= 1


def test_an_image_without_a_gradient_is_in_no_mean_and_in_no_pair(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, lost = evaluation_gradients.energy_table, []

    def lacking(measured: Any, size: int) -> pd.DataFrame:
        table = original(measured, size)
        lost.append(table.loc[3, "index"])
        return table.assign(zero_gradient=table["index"] == lost[-1])

    monkeypatch.setattr(evaluation_gradients, "energy_table", lacking)
    gradients.main("shapes6")
    images, points = (
        pd.read_csv(f"reports/measures/shapes6/gradients{kind}.csv") for kind in (".images", "")
    )
    assert set(lost).isdisjoint(images["index"]) and len(lost) == 5
    assert len(images) == points["n"].sum() == 5 * 9


def test_carlini_and_wagner_are_judged_image_by_image(finished: Path) -> None:
    claims = pd.read_csv(finished / "reports/claims.csv").query("claim == 'carlini_wagner'")
    assert list(claims["defence"]) == list(SWEPT) and (claims["interval"] == "paired").all()
    for line in claims.itertuples():
        strongest = pd.read_csv(finished / f"reports/measures/shapes6/strong/{line.defence}/L2.images.csv")
        swept = pd.read_csv(finished / f"reports/cells/shapes6/eps/{line.defence}/L2.images.csv")
        swept = swept[swept["trained_norm"] != "Linf"]
        cw, pgd = (table[table["value"] == 2].set_index("index")["correct"] for table in (strongest, swept))
        assert set(cw.index) < set(pgd.index) and line.n == len(cw) == 3
        assert line.value == pytest.approx(cw.mean() - pgd[cw.index].mean())


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("cells/shapes6/eps/clean/L2", 20),
        ("measures/shapes6/jsma", 5 * 3 * 6),
        ("measures/shapes6/gradients", 5 * 10),
        ("measures/shapes6/strong/at_dual/L2", 2 * 3),
    ],
)
def test_images_that_are_cut_off_or_absent_are_one_line(
    project: Path, finished: Path, name: str, count: int
) -> None:
    shutil.copytree(finished / "reports", "reports")
    path = Path(f"reports/{name}.images.csv")
    pd.read_csv(path).iloc[:-1].to_csv(path, index=False)
    with pytest.raises(UserError, match=rf"^{path}: found {count - 1} rows; accepted: {count}, by "):
        tables.main()
    path.unlink()
    with pytest.raises(UserError, match=rf"^{path}: cannot be read .*make it anew with") as caught:
        tables.main()
    assert "\n" not in str(caught.value)


def test_the_masks_are_those_of_the_data_set(finished: Path) -> None:
    for split, count in (("train", 24), ("test", 12)):
        own = np.load(finished / f"data/prepared/shapes6/{split}.foreground.npy")
        used = np.load(finished / f"data/masks/shapes6/{split}.foreground.npy")
        assert len(own) == count and np.array_equal(own, used)


def test_the_examples_are_those_asked_for(finished: Path) -> None:
    found = read_examples(finished / "reports/examples/shapes6")
    for arrays in found.values():
        assert arrays["indices"].tolist() == [11, 0] and len(arrays["class_names"]) == 6
        assert str(arrays["defence"]) == "at_pgd"
        assert str(arrays["norm"]) == str(arrays["trained_norm"]) == "Linf"
    dual, noise = found["dual"], found["noise"]
    assert dual["budgets"].tolist() == [4.0, 20.0] and noise["budgets"].tolist() == [40.0]
    assert dual["salience_weights"].tolist() == [0.0, 10.0] and str(dual["bound"]) == "clean"
    assert np.abs(dual["dual"] - dual["original"]).max() == pytest.approx(20 / 255, abs=1e-6)
    assert np.abs(noise["background_noise"] - noise["original"]).max() == pytest.approx(40 / 255, abs=1e-6)


@pytest.mark.parametrize(
    ("defence", "trained"), [("at_dual", "L2"), ("clean", "none")], ids=["another norm", "no norm"]
)
def test_a_picture_in_a_norm_that_none_is_trained_with_shows_the_first(
    project: Path, defence: str, trained: str
) -> None:
    changes = {f"figures.{name}.defence": defence for name in ("fig1", "fig2")}
    write_params(project, norms=["L2"], **changes)
    examples.main("shapes6")
    for arrays in read_examples(project / "reports/examples/shapes6").values():
        assert str(arrays["trained_norm"]) == trained and str(arrays["norm"]) == "Linf"


def test_fig_3_has_the_budgets_of_its_own(project: Path) -> None:
    own = {"norm": "Linf", "eps_f": 1.0, "eps_b": 3.0}
    write_params(project, **{"figures.fig3": own, "eps_b": 7.0})
    robustness.main("salience_weight", "shapes6", "at_pgd", "Linf")
    table = pd.read_csv("reports/cells/shapes6/salience_weight/at_pgd/Linf.csv")
    assert set(table["norm"]) == set(table["trained_norm"]) == {"Linf"} and len(table) == 4
    assert set(table["eps_f"]) == {1.0} and set(table["eps_b"]) == {3.0}
    with pytest.raises(UserError, match="^norm: found 'L2'; accepted: Linf$"):
        robustness.main("salience_weight", "shapes6", "at_pgd", "L2")


def test_figures_in_a_norm_that_is_not_in_use_are_lines_and_the_pipeline_ends(
    finished: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_params(project, norms=["Linf"])
    for name in ("cells", "measures", "gradients", "health", "masks", "gallery"):
        shutil.copytree(finished / "reports" / name, project / "reports" / name)
    shutil.rmtree("reports/cells/shapes6/salience_weight")
    for defence in SWEPT:
        robustness.main("salience_weight", "shapes6", defence, "L2")
        for axis in ("eps", "eps_f", "eps_b"):
            for kind in ("", ".images"):
                only_linf(Path(f"reports/cells/shapes6/{axis}/{defence}/Linf{kind}.csv"))
    for name in ("jsma", "jsma.images", "gradients", "gradients.images", "transfer/Linf", "smoothing"):
        only_linf(Path(f"reports/measures/shapes6/{name}.csv"))
    monkeypatch.setattr(report, "version", lambda name: "0")
    examples.main("shapes6")
    tables.main()
    figures.main("shapes6")
    report.main()
    drawn = {path.stem for path in Path("reports/figures/shapes6").glob("*.png")}
    assert "shapes6_combinations_Linf" in drawn
    assert not {f"shapes6_{name}" for name in ("salience", "accuracy", "across")} & drawn
    for page in ("index.html", "report.md"):
        text = Path("reports", page).read_text(encoding="utf-8")
        for key in ("fig3.norm", "fig4.norm", "fig5.trained"):
            assert text.count(f"Not drawn: figures.{key} is L2") == 1
    assert not list(Path("reports/curves").glob("salience_weight/*"))


def only_linf(path: Path) -> None:
    """Drop the rows of classifiers and attacks in L2."""
    table = pd.read_csv(path)
    own = table["trained_norm"] != "L2"
    if "source" in table.columns:
        own &= ~table["source"].str.endswith("_L2")
    if "norm" in table.columns:
        own &= (table["norm"] != "L2") | (table["attack"] == "certificate")
    table[own].to_csv(path, index=False)


def test_the_timed_stages_are_those_of_the_pipeline(project: Path, finished: Path) -> None:
    settings = load_params(project / "params.yaml")
    files = {common.time_file("shapes6", *one) for one in common.timed_stages(settings)}
    named = {
        path
        for stage in PIPELINE["stages"]
        if not stage.endswith("_named")
        for defence in SWEPT
        for path in outs(stage, dataset="shapes6", defence=defence)
        if path.startswith("reports/times/")
    }
    by_norm = {str(file.parent) for file in files if file.stem in NORMS}
    assert {str(file) for file in files if file.stem not in NORMS} | by_norm == named
    written = {path.relative_to(finished) for path in (finished / common.TIMES).rglob("*.json")}
    assert written < files and len(files - written) == 1 + 7  # prepare and the trainings did not run


def test_the_report_has_the_times_of_present_stages_and_norms_alone(project: Path) -> None:
    write_params(project, norms=["L2"])
    for dataset in ("shapes6", "folder"):
        for name in ("masks", "renamed", "health/L2", "health/Linf", "renamed/L2"):
            path = project / f"reports/times/{dataset}/{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"dataset": dataset, "stage": name, "seconds": 1.5}))
    shown = report.times(load_params(project / "params.yaml"))
    assert shown[["dataset", "stage"]].to_numpy().tolist() == [
        ["shapes6", "health/L2"],
        ["shapes6", "masks"],
    ]


def test_the_setting_that_the_report_shows_has_the_steps_of_the_norms_in_use(project: Path) -> None:
    write_params(project, norms=["L2"], **{"shapes6.evaluate.steps": 9})
    shown: dict[str, Any] = report.setting(load_params(project / "params.yaml"))
    assert shown["shapes6"]["evaluate"]["steps"] == {"L2": 9} and shown["eps_f"] == {"L2": 2.0}


@pytest.mark.parametrize("name", ["masks/shapes6.json", "times/shapes6/masks.json"])
@pytest.mark.parametrize("content", ["", "[]", "{}", "null"])
def test_what_the_report_cannot_read_is_one_line(
    finished: Path, project: Path, name: str, content: str
) -> None:
    shutil.copytree(finished / "reports", project / "reports", dirs_exist_ok=True)
    (project / "reports" / name).write_text(content)
    with pytest.raises(
        UserError,
        match=rf"{name}: cannot be read .*make it anew with",
    ):
        report.main()


def test_a_stage_repeats_its_bytes(finished: Path, project: Path) -> None:
    robustness.main("dual", "shapes6", "at_pgd", "L2")
    for name in ("L2.csv", "L2.images.csv"):
        made = Path("reports/cells/shapes6/eps_b/at_pgd") / name
        assert (project / made).read_bytes() == (finished / made).read_bytes()


@pytest.mark.parametrize(
    ("run", "line"),
    [
        (lambda: masks.main("cifar"), "^data set: found 'cifar'; accepted: shapes6$"),
        (lambda: masks.main("folder"), "^data set: found 'folder'; accepted: shapes6$"),
        (lambda: examples.main("cifar"), "^data set: found 'cifar'; accepted: shapes6$"),
        (lambda: figures.main("cifar"), "^data set: found 'cifar'; accepted: shapes6$"),
        (lambda: robustness.main("eps", "cifar", "clean", "L2"), "^data set: found 'cifar'"),
        (
            lambda: robustness.main("eps", "shapes6", "pgd", "L2"),
            "^defence: found 'pgd'; accepted: clean, at_pgd, at_dual, smoothing, smoothing_dual$",
        ),
        (
            lambda: robustness.main("eps", "shapes6", "clean", "L1"),
            "^norm: found 'L1'; accepted: L2, Linf$",
        ),
        (
            lambda: robustness.main("eps_g", "shapes6", "clean", "L2"),
            "^sweep: found 'eps_g'; accepted: eps, dual, salience_weight$",
        ),
        (
            tables.main,
            r"reports/cells/shapes6/eps/clean/L2\.csv: cannot be read .*make it anew with",
        ),
        (lambda: figures.main("shapes6"), r"reports/results\.csv: cannot be read"),
        (report.main, r"reports/results\.csv: cannot be read"),
    ],
)
def test_a_mistake_is_one_line(project: Path, run: Callable[[], None], line: str) -> None:
    with pytest.raises(UserError, match=line) as caught:
        run()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "column", "run"),
    [
        ("cells/shapes6/eps_b/at_pgd/Linf.csv", "foreground_score_low", tables.main),
        ("cells/shapes6/salience_weight/clean/L2.csv", "loss", tables.main),
        ("measures/shapes6/jsma.csv", "accuracy", tables.main),
        ("measures/shapes6/gradients.csv", "gradient_share", tables.main),
        ("measures/shapes6/unsuspicious/L2.csv", "crossed_half", tables.main),
        ("measures/shapes6/strong/clean/Linf.csv", "square_queries", tables.main),
        ("cells/shapes6/eps/at_pgd/L2.images.csv", "correct", tables.main),
        ("measures/shapes6/jsma.images.csv", "index", tables.main),
        ("measures/shapes6/gradients.images.csv", "gradient_share", tables.main),
        ("measures/shapes6/strong/clean/L2.images.csv", "correct", tables.main),
        ("results.csv", "axis", lambda: figures.main("shapes6")),
        ("results.csv", "source", report.main),
        ("claims.csv", "bound", report.main),
        ("health/shapes6/Linf.csv", "question", report.main),
        ("cells/shapes6/eps_f/clean/L2.csv", "n", lambda: health.main("shapes6", "L2")),
        ("measures/shapes6/transfer/L2.csv", "attack", lambda: health.main("shapes6", "L2")),
    ],
)
def test_a_table_that_lacks_a_column_is_one_line(
    project: Path,
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    column: str,
    run: Callable[[], None],
) -> None:
    shutil.copytree(finished / "reports", "reports")
    pd.read_csv(f"reports/{name}").drop(columns=column).to_csv(f"reports/{name}", index=False)
    monkeypatch.setattr(report, "version", lambda name: "0")
    with pytest.raises(UserError) as caught:
        run()
    expected = f"reports/{name}: lacks the column {column}; run the stage that writes it again: dvc repro "
    assert str(caught.value).startswith(expected) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"shapes6.evaluate.n": 13}, r"^shapes6\.evaluate\.n: found 13; accepted: up to 12"),
        (
            {"shapes6.evaluate.examples": [0, 12]},
            r"^shapes6\.evaluate\.examples\[1\]: found 12; accepted: 0 to 11",
        ),
    ],
)
@pytest.mark.parametrize(
    "run", [masks.main, examples.main, lambda name: robustness.main("eps", name, "clean", "L2")]
)
def test_fewer_test_images_than_asked_for_stop_every_stage_before_its_work(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    line: str,
    run: Callable[[str], None],
) -> None:
    """As with photographs, where params.yaml alone cannot tell how many there are."""
    write_params(project, **{**changes, "shapes6.data.test": 100})

    def never(*_: object, **__: object) -> None:
        raise AssertionError("work began")

    monkeypatch.setattr("stages.subject.load_classifier", never)
    monkeypatch.setattr("dualperturb.masks.splits.write_masks", never)
    with pytest.raises(UserError, match=line):
        run("shapes6")


def test_masks_of_other_images_are_refused(project: Path, finished: Path) -> None:
    (project / "data").unlink()
    (project / "data/masks/shapes6").mkdir(parents=True)
    (project / "data/prepared").symlink_to(finished / "data/prepared")
    np.save(project / "data/masks/shapes6/test.foreground.npy", np.zeros((11, 1, 32, 32), dtype=np.bool_))
    with pytest.raises(
        UserError, match=r"data/masks/shapes6: masks of shape \(11, 1, 32, 32\), expected .* 12 images"
    ):
        robustness.main("eps", "shapes6", "clean", "L2")


def test_an_unknown_architecture_stops_training_before_its_work(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_params(project, **{"shapes6.train.classifier.architecture": "resnet35"})

    def never(*_: object, **__: object) -> None:
        raise AssertionError("training began")

    monkeypatch.setattr("dualperturb.training.loop.train", never)
    with pytest.raises(UserError, match="architecture: found 'resnet35'; accepted are small_resnet"):
        train_stage.main("clean", "shapes6")


def test_a_user_error_ends_a_script_with_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["masks", "cifar"])
    with pytest.raises(SystemExit) as ended:
        common.run(masks.main)
    captured = capsys.readouterr()
    assert ended.value.code == 1 and captured.out == ""
    assert captured.err == "error: data set: found 'cifar'; accepted: shapes6\n"
