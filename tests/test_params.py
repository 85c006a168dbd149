"""params.yaml: the shipped file is accepted, and every mistake becomes one line that a person can act on."""

from __future__ import annotations

import copy
import math
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from pydantic import ValidationError
from ruamel.yaml import YAML

from dualperturb.errors import UserError
from dualperturb.evaluation.perceptual import SMALLEST_SSIM
from dualperturb.params import AXES, DATASETS, DEFENCES, PANELS, LogAxis, Params, load_params
from dualperturb.params.data import ImageData
from dualperturb.params.masks import OPTIONS, REQUIRED
from dualperturb.params.refusals import first_line
from tests.small_tables import FIGURES

ROOT = Path(__file__).resolve().parents[1]
ABSENT = object()
SHIPPED: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))


def changed(**changes: object) -> dict[str, Any]:
    """The shipped parameters with values at dotted keys replaced, or removed."""
    params = copy.deepcopy(SHIPPED)
    for key, value in changes.items():
        *parents, last = key.split(".")
        section = params
        for parent in parents:
            section = section[parent]
        if value is ABSENT:
            del section[last]
        else:
            section[last] = value
    return params


def written(folder: Path, params: object) -> Path:
    path = folder / "params.yaml"
    with path.open("w") as file:
        YAML(typ="safe", pure=True).dump(params, file)
    return path


def refusal(**changes: object) -> str:
    """The line for changed parameters, without the file's name; reading YAML each time would take minutes."""
    with pytest.raises(ValidationError) as caught:
        Params.model_validate(changed(**changes))
    return first_line(caught.value)


@pytest.mark.parametrize("size", ["auto", 1, 1000])
def test_a_batch_is_a_number_of_images_or_auto(size: object) -> None:
    params = Params.model_validate(
        changed(**{"shapes6.evaluate.batch_size": size, "shapes6.masks.batch_size": size})
    )
    assert params.of("shapes6").evaluate.batch_size == params.of("shapes6").masks.batch_size == size


def test_the_shipped_file_is_accepted() -> None:
    params = load_params(ROOT / "params.yaml")
    assert params.datasets == ("shapes6",)
    assert set(params.salience_weight) == set(DATASETS)
    assert all(params.of(name) for name in DATASETS)
    assert set(params.plots.palette) == set(DEFENCES)


WHOLE_5 = {"adversary": "pgd", "eps": {"L2": 5.0}}
DUAL = {"adversary": "dual", "eps_f": {"L2": 2.0}, "eps_b": {"L2": 5.0}}
WHOLE = "a whole number of at least 1"
NUMBER = "a finite number of at least 0"
BUDGET = f"{NUMBER}, or a mapping with one for each of norms"
STEPS = f"{WHOLE}, or a mapping with one for each of norms"
TOP = ", ".join(Params.model_fields)
NAMED = ", ".join(DATASETS)
OWN = "eps_scale, data, masks, train, evaluate"
ANY_OF = " or ".join(NAMED.rsplit(", ", 1))


MODEL = "shapes6.masks.model"
SEGMENTATION = "shapes6.masks.segmentation"
BACKGROUND = "shapes6.evaluate.grid.L2.eps_b"
FIG1_BOUND = "figures.fig1.min_foreground_score"
# One refusal a type, and of types that take several kinds of value one a kind; what follows the key.
REFUSED: list[tuple[str, object, str]] = [
    # numbers
    ("eps_b", "20", f": found '20' (a number written as text); accepted: {BUDGET}"),
    ("eps_b", float("nan"), f": found nan; accepted: {BUDGET}"),
    ("eps_b", float("inf"), f": found inf; accepted: {BUDGET}"),
    ("eps_b", True, f": found true; accepted: {BUDGET}"),
    ("eps_f", {"L2": 1.0, "L9": 1.0}, f": found {{'L2': 1.0, 'L9': 1.0}}; accepted: {BUDGET}"),
    ("shapes6.evaluate.steps", 2.5, f": found 2.5; accepted: {STEPS}"),
    ("shapes6.evaluate.steps", 0, f": found 0; accepted: {STEPS}"),
    ("shapes6.evaluate.steps", {"L2": 5, "L9": 5}, f": found {{'L2': 5, 'L9': 5}}; accepted: {STEPS}"),
    ("seeds.attack", 2**63, f": found {2**63}; accepted: a whole number from 0 to {2**63 - 1}"),
    ("seeds.data", -1, f": found -1; accepted: a whole number from 0 to {2**63 - 1}"),
    ("seeds.training", [-1], f"[0]: found -1; accepted: a whole number from 0 to {2**63 - 1}"),
    ("seeds.training", [], ": found []; accepted: a list of at least one value"),
    ("seeds.training", 0, ": found 0; accepted: a list of at least one value"),
    ("seeds.training", [1, 1], ": holds 1 twice"),
    ("seeds", 0, ": found 0; accepted: a mapping with the keys data, training, attack"),
    ("named", "whole_5", ": found 'whole_5'; accepted: a list of names of DATASET.train.named"),
    ("named", ["whole_5", "whole_5"], ": holds 'whole_5' twice"),
    ("shapes6.train.named", {"At": {}}, ".At: unknown key; accepted: names of lower-case"),
    ("shapes6.train.named", {"at_pgd": WHOLE_5}, ".at_pgd: unknown key; accepted: names"),
    ("shapes6.train.named", {"whole_L2": WHOLE_5}, ".whole_L2: unknown key; accepted: names"),
    ("shapes6.train.named", {"a": 1}, ".a.adversary: found 1; accepted: pgd or dual"),
    (
        "shapes6.train.named",
        {"a": {"adversary": "fgsm"}},
        ".a.adversary: found 'fgsm'; accepted: pgd or dual",
    ),
    ("shapes6.train.named", {"a": {"adversary": "dual"}}, ".a.eps_f: missing key"),
    ("shapes6.train.named", {"a": WHOLE_5 | {"eps_b": 1}}, ".a.eps_b: unknown key; accepted: epochs"),
    ("shapes6.train.named", {"a": WHOLE_5 | {"steps": 0}}, f".a.steps: found 0; accepted: {WHOLE}"),
    ("shapes6.train.named", {"a": WHOLE_5 | {"warmup_epochs": 10}}, ".a: warmup_epochs 10 leaves no epoch"),
    ("shapes6.train.named", {"a": WHOLE_5 | {"eps": {"L2": -1}}}, f".a.eps.L2: found -1; accepted: {NUMBER}"),
    ("shapes6.train.named", {"a": DUAL | {"masks": "none"}}, ".a.masks: found 'none'; accepted: own, random"),
    (
        "shapes6.train.named",
        {"a": DUAL | {"foreground_norm": "L3"}},
        ".a.foreground_norm: found 'L3'; accepted",
    ),
    ("shapes6.evaluate.n", True, f": found true; accepted: {WHOLE}"),
    ("shapes6.evaluate.n", 2.0, f": found 2.0; accepted: {WHOLE}"),
    ("shapes6.train.optimiser.momentum", 1, ": found 1; accepted: a number of at least 0 and below 1"),
    ("shapes6.data.background_match", 1.5, ": found 1.5; accepted: a number from 0 to 1"),
    ("shapes6.evaluate.step_size", 0, ": found 0; accepted: a number above 0 and up to 2"),
    ("plots.dpi", 10, ": found 10; accepted: a whole number from 50 to 600"),
    ("plots.width_inches", 5.9, ": found 5.9; accepted: a number of inches from 6 to 24"),
    ("plots.width_inches", 25, ": found 25; accepted: a number of inches from 6 to 24"),
    # unions
    ("imagenet10.data.train_per_class", "some", f": found 'some'; accepted: all, or {WHOLE}"),
    ("imagenet10.data.test_per_class", 0, f": found 0; accepted: all, or {WHOLE}"),
    ("stl10.evaluate.batch_size", "all", f": found 'all'; accepted: auto, or {WHOLE}"),
    ("folder.eps_scale", 0, ": found 0; accepted: auto, or a finite number above 0"),
    ("folder.data.classes", {}, ": found {}; accepted: all, or a mapping of folder to"),
    ("folder.data.classes", {7: "seven"}, ": found 7: 'seven'; accepted: two texts"),
    # texts and switches
    ("norms", ["l2"], "[0]: found 'l2'; accepted: L2, Linf"),
    ("norms", ["L2", "L2"], ": holds 'L2' twice"),
    ("figures.fig2.defence", "pgd", ": found 'pgd'; accepted: clean, at_pgd, at_dual"),
    ("figures.fig5.trained", "L0", ": found 'L0'; accepted: L2, Linf or L1"),
    ("runtime.compile", "on", ": found 'on'; accepted: auto or off"),
    ("shapes6.train.augment.flip", 1, ": found 1; accepted: true or false"),
    ("shapes6.train.classifier.weights", None, ": found null; accepted: text"),
    ("plots.palette.clean", "blue", ": found 'blue'; accepted: a colour such as"),
    (MODEL, ["itti"], ": found ['itti']; accepted: builtin, center, "),
    (MODEL, {"name": "itti"}, ": found 'itti'; accepted: builtin"),
    (MODEL, {"name": "builtin", "side": 9}, ".side: unknown key; accepted: name"),
    (MODEL, {"name": "deepgaze", "variant": "II"}, ".variant: found 'II'; accepted: IIE or I"),
    (MODEL, "onnx", ".file: missing key; model is onnx"),
    (SEGMENTATION, {"net": 1}, ".net: unknown key; accepted:"),
    (SEGMENTATION, {"classes": "smallest"}, ".classes: found 'smallest'; accepted: largest, "),
    (SEGMENTATION, {"classes": {"a": "b"}}, ".classes: found 'a': 'b'; accepted categories: "),
    *(
        (FIG1_BOUND, bound, f': found {found}; accepted: a number from 0 to 1, "clean", or such as')
        for bound, found in (
            *((1.2, "1.2"), (float("nan"), "nan"), (True, "true"), (None, "null"), ("cleaner", "'cleaner'")),
            *(("clean-1.5", "'clean-1.5'"), ("0.9", "'0.9' (a number written as text)")),
        )
    ),
    # lists
    ("datasets", "shapes6", ": found 'shapes6'; accepted: a list of at least one value"),
    ("datasets", [], ": found []; accepted: a list of at least one value"),
    ("datasets", ["cifar"], f"[0]: found 'cifar'; accepted: {ANY_OF}"),
    ("datasets", ["shapes6"] * 2, ": found shapes6 twice; accepted: each data set once"),
    (BACKGROUND, [0, "1"], f"[1]: found '1' (a number written as text); accepted: {NUMBER}"),
    ("folder.evaluate.examples", [3, -1], "[1]: found -1; accepted: a whole"),
    ("plots.log_axes", ["x"], "[0]: found 'x'; accepted: eps, eps_f, eps_b"),
    # sections and keys
    ("shapes6.train.clean", None, ": found null; accepted: a mapping with the keys epochs"),
    ("folder", "all", f": found 'all'; accepted: a mapping with the keys {OWN}"),
    ("salience_weight", 1.0, ": found 1.0; accepted: a mapping with the keys shapes6"),
    ("eps_bb", 1, f": unknown key; accepted: {TOP}"),
    ("salience_weight.5", 1, f": unknown key; accepted: {NAMED}"),
    ("plots.palette.other", "#000000", ": unknown key; accepted: clean, at_pgd, at_dual"),
    ("plots.palette.at_dual", ABSENT, ": missing key"),
    ("folder", ABSENT, ": missing key"),
    ("shapes6.train.at_pgd.eps.Linf", ABSENT, ": missing key; norms names Linf"),
]


@pytest.mark.parametrize(("key", "value", "line"), REFUSED)
def test_a_mistake_is_one_line_with_key_finding_and_what_is_accepted(
    key: str, value: object, line: str
) -> None:
    found = refusal(**{key: value})
    assert found.startswith(key + line) and "\n" not in found


def test_the_line_of_a_file_begins_with_its_name(tmp_path: Path) -> None:
    path = written(tmp_path, changed(eps_b=float("nan")))
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert str(caught.value) == f"{path}: eps_b: found nan; accepted: {BUDGET}"


def test_a_misspelt_key_is_named_and_not_the_right_one_that_is_missing() -> None:
    line = refusal(**{"folder.train.at_pgd.steps": ABSENT, "folder.train.at_pgd.step": 3})
    assert line.startswith("folder.train.at_pgd.step: unknown key; accepted: epochs, steps, step_size")


def test_the_crop_must_fit_into_the_resized_image() -> None:
    line = refusal(**{"imagenet10.data.side": 300})
    assert line == "imagenet10.data.side: found 300; accepted: up to resize, which is 256"


def test_what_the_evaluation_would_stumble_over_at_its_end_is_found_at_its_beginning() -> None:
    assert refusal(**{"shapes6.evaluate.n": 1001}) == (
        "shapes6.evaluate.n: found 1001; accepted: up to 1000, the test images"
    )
    assert refusal(**{"shapes6.evaluate.examples": [0, 1000]}) == (
        "shapes6.evaluate.examples[1]: found 1000; accepted: 0 to 999, the positions in the test split"
    )
    assert refusal(**{"shapes6.evaluate.grid.Linf.eps": [2, 4]}).startswith(
        "shapes6.evaluate.grid.Linf.eps: found [2.0, 4.0]; accepted: 0 among them"
    )
    assert refusal(**{"shapes6.evaluate.salience_weights": [0, 1, 1.0]}) == (
        "shapes6.evaluate.salience_weights: holds 1.0 twice"
    )


def test_two_classes_are_not_shown_by_one_name() -> None:
    line = refusal(**{"folder.data.classes": {"n1": "cat", "n2": "cat"}})
    assert line == "folder.data.classes: holds 'cat' twice"


@pytest.mark.parametrize(
    ("key", "accepted"),
    [
        ("shapes6.train.optimiser.batch_size", "a whole number of at least 2"),
        ("shapes6.data.train", "a whole number of at least 2"),
        ("stl10.data.train", "all, or a whole number of at least 2"),
    ],
)
def test_training_has_two_images_at_once_for_batchnorm(key: str, accepted: str) -> None:
    assert refusal(**{key: 1}) == f"{key}: found 1; accepted: {accepted}"
    Params.model_validate(changed(**{key: 2}))


def test_photographs_are_not_too_small_for_the_attacks_and_distances_of_other_libraries() -> None:
    small = {"folder.data.side": 24, "folder.data.resize": 24}
    line = "folder.data.side: found 24; accepted: at least 25"
    assert refusal(datasets=["folder"], **small) == line
    Params.model_validate(changed(**small))  # not used
    Params.model_validate(changed(datasets=["folder"], **{"folder.data.side": 25, "folder.data.resize": 25}))
    assert SMALLEST_SSIM <= 25 and not any(side // (side // 5) > 5 for side in range(25, 1000))


def test_an_attack_may_change_something_in_every_norm_that_is_used() -> None:
    nothing = {"eps_f": 0, "eps_b": {"L2": 20.0, "Linf": 0}}
    line = "eps_b: found 0 in Linf, as in eps_f; accepted: one of the two above 0"
    assert refusal(**nothing) == line
    Params.model_validate(changed(norms=["L2"], **nothing))


@pytest.mark.parametrize("dataset", ["shapes6", "cifar10", "stl10"])
def test_masks_are_matched_by_name_where_images_have_names(dataset: str) -> None:
    key = f"{dataset}.masks"
    files = {"folder": "masks", "match": "name", "missing": "refuse", "other_size": "refuse"}
    named = {"datasets": [dataset], f"{key}.source": "files", f"{key}.files": files}
    assert refusal(**named) == (
        f"{key}.files.match: found name, but {dataset} has no file names; accepted: index"
    )
    Params.model_validate(changed(**{**named, f"{key}.files": {**files, "match": "index"}}))


@pytest.mark.parametrize("alpha", [0, 1])
def test_the_chance_of_a_wrong_certificate_is_neither_none_nor_certain(alpha: float) -> None:
    key = "shapes6.evaluate.smoothing.alpha"
    assert refusal(**{key: alpha}) == f"{key}: found {alpha}; accepted: a number above 0 and below 1"


@pytest.mark.parametrize("name", ["samples", "prediction_samples"])
def test_noisy_copies_too_few_for_any_prediction_are_named_by_their_own_key(name: str) -> None:
    key = f"shapes6.evaluate.smoothing.{name}"  # n is the number of images
    assert refusal(**{key: 10}).startswith(
        f"{key}: found 10; accepted: at least 11: with fewer at alpha 0.001"
    )
    assert getattr(Params.model_validate(changed(**{key: 11})).of("shapes6").evaluate.smoothing, name) == 11


def test_radii_that_no_number_of_votes_certifies_are_told_apart() -> None:
    """With 11 copies of one class at alpha 0.001, its probability is at least 0.001^(1/11) = 0.5337."""
    few = {"shapes6.evaluate.smoothing.samples": 11, "shapes6.evaluate.smoothing.radii": [0, 0.02, 0.03]}
    chosen = Params.model_validate(changed(**few)).of("shapes6").evaluate.smoothing
    assert chosen.largest_radius(0.25) == pytest.approx(0.25 * 0.08453, rel=1e-3)
    assert chosen.certifiable(0.25) == (0, 0.02)
    assert chosen.certifiable(0.5) == (0, 0.02, 0.03)


@pytest.mark.parametrize("source", ["saliency", "segmentation"])
def test_noise_by_the_regions_of_computed_masks_is_refused(source: str) -> None:
    key = "shapes6.train.smoothing_dual.mask"
    computed = {"shapes6.masks.source": source, key: "given"}
    assert refusal(**computed) == (
        f"{key}: found given, but masks.source is {source}: a perturbation moves such a mask, and no "
        "certificate holds; accepted: center"
    )
    Params.model_validate(changed(**{**computed, key: "center"}))
    Params.model_validate(changed(**{key: "given"}))


def test_noise_by_the_regions_of_masks_that_are_the_same_for_all_is_accepted() -> None:
    fixed = {"shapes6.masks.source": "saliency", "shapes6.masks.model": "center"}
    given = {"shapes6.train.smoothing_dual.mask": "given"}
    Params.model_validate(changed(**fixed, **given))
    fixed["shapes6.masks.source"] = "segmentation"
    assert "masks.source is segmentation" in refusal(**fixed, **given)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("train.smoothing_dual.sigma_b", 0, "found 0; accepted: a finite number above 0"),
        ("train.smoothing_dual.sigma_f", "1", "found '1' (a number written as text); accepted: a finite"),
        ("train.smoothing_dual.mask", "mine", "found 'mine'; accepted: given or center"),
        ("evaluate.smoothing.eps_f", -1, "found -1; accepted: a finite number of at least 0"),
        ("evaluate.smoothing.eps_b", [5, 5], "holds 5"),
    ],
)
def test_noise_by_region_and_its_budgets_are_numbers(key: str, value: object, line: str) -> None:
    assert refusal(**{f"shapes6.{key}": value}).startswith(f"shapes6.{key}: {line}")


def test_the_lower_sigma_bounds_the_radius() -> None:
    for sigmas, least in (((0.5, 2.0), 0.5), ((3.0, 0.25), 0.25)):
        values = dict(zip(("sigma_f", "sigma_b"), sigmas, strict=True))
        named = {f"shapes6.train.smoothing_dual.{key}": value for key, value in values.items()}
        assert Params.model_validate(changed(**named)).of("shapes6").train.smoothing_dual.least_sigma == least


@pytest.mark.parametrize(
    ("shares", "line"),
    [
        ([0, 0.1], "[0]: found 0; accepted: a number above 0 and up to 1"),
        ([0.1, 1.5], "[1]: found 1.5; accepted: a number above 0 and up to 1"),
        ([0.1, 0.05], ": found 0.05 after 0.1; accepted: numbers that rise"),
        ([0.05, 0.05], ": found 0.05 after 0.05; accepted: numbers that rise"),
        (0.1, ": found 0.1; accepted: a list of at least one value"),
        ([], ": found []; accepted: a list of at least one value"),
    ],
)
def test_jsmas_shares_rise_to_the_largest(shares: object, line: str) -> None:
    key = "shapes6.evaluate.jsma.shares"
    assert refusal(**{key: shares}) == key + line
    Params.model_validate(changed(**{key: [0.05, 1]}))


def test_steps_are_those_of_the_norm() -> None:
    params = Params.model_validate(changed(**{"shapes6.evaluate.steps": {"L2": 7, "Linf": 3}}))
    assert params.of("shapes6").evaluate.steps == {"L2": 7, "Linf": 3}
    alike = Params.model_validate(changed(**{"shapes6.evaluate.steps": 9})).of("shapes6").evaluate.steps
    assert (alike["L2"], alike["Linf"]) == (9, 9)
    assert Params.model_validate(params.model_dump()) == params
    for name in ("segment6", "stl10", "imagenet10", "folder"):
        assert params.of(name).evaluate.steps == {"L2": 100, "Linf": 20}


PICTURED = ("figures.fig1.norm", "figures.fig2.norm")


def test_a_mapping_of_steps_holds_the_norms_in_use() -> None:
    line = "shapes6.evaluate.steps.Linf: missing key; norms names Linf"
    asked = {"shapes6.evaluate.steps": {"L2": 7}}
    assert refusal(**asked) == line
    line = "shapes6.evaluate.steps.Linf: missing key; figures.fig2.norm names Linf"
    assert refusal(norms=["L2"], **asked, **{"figures.fig1.norm": "L2"}) == line
    Params.model_validate(changed(norms=["L2"], **asked, **dict.fromkeys(PICTURED, "L2")))


def test_only_the_norms_in_use_need_budgets_and_grids() -> None:
    grid = {"eps": [0, 98.0], "eps_f": [98.0], "eps_b": [980.0]}
    l1 = {"norms": ["L1"], "eps_f": {"L1": 98.0}, "shapes6.train.at_pgd.eps": {"L1": 98.0}}
    params = Params.model_validate(changed(**l1, **{"shapes6.evaluate.grid": {"L1": grid}}))
    assert params.budgets("L1") == (98.0, 20.0) and params.grid("shapes6", "L1").eps == (0, 98)
    # An L1 norm grows with the number of pixels.
    assert params.radius("shapes6", "L1", 98.0, 32) == pytest.approx(98 * (32 / 224) ** 2)
    assert refusal(**l1).startswith("shapes6.evaluate.grid.L1: missing key; norms names L1")


def test_one_axis_at_least_has_two_budgets_to_compare() -> None:
    grid = "shapes6.evaluate.grid.L2"
    alone = {f"{grid}.eps": [0], f"{grid}.eps_f": [2], f"{grid}.eps_b": [20]}
    assert refusal(**alone).startswith(f"{grid}.eps: found [0.0]; accepted: two budgets here, in eps_f or in")
    compared = Params.model_validate(changed(**(alone | {f"{grid}.eps_b": [0, 20]})))
    assert compared.of("shapes6").evaluate.grid["L2"].eps_b == (0, 20)


def test_every_data_set_says_what_its_test_split_can_hold() -> None:
    params = Params.model_validate(SHIPPED)
    assert {name for name in DATASETS if not isinstance(params.of(name).data, ImageData)} == set()


def test_the_size_of_segment6s_test_split_is_checked_where_it_is_limited() -> None:
    line = refusal(datasets=["segment6"], **{"segment6.data.test_per_class": 83})
    assert line.startswith("segment6.evaluate.n: found 500; accepted: up to 498")
    Params.model_validate(changed(datasets=["segment6"]))


def test_the_size_of_stl10s_test_split_is_checked_where_it_is_limited() -> None:
    line = refusal(datasets=["stl10"], **{"stl10.data.test": 499})
    assert line.startswith("stl10.evaluate.n: found 500; accepted: up to 499")
    Params.model_validate(changed(datasets=["stl10"]))


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        ({"foreground": 3}, "foreground: found 3; accepted: a list of whole numbers from 0 to 65535"),
        ({"ignore": [-1]}, "ignore: found [-1]; accepted: a list of whole numbers from 0 to 65535"),
        ({"foreground": [3], "ignore": [3]}, "ignore: found 3, which foreground holds, too; accepted: other"),
    ],
)
def test_labels_of_mask_files_are_numbers(labels: dict[str, object], line: str) -> None:
    named = {f"stl10.masks.files.{key}": value for key, value in labels.items()}
    assert refusal(**named).startswith(f"stl10.masks.files.{line}")
    Params.model_validate(changed(**{"stl10.masks.files.foreground": [3], "stl10.masks.files.ignore": [255]}))


def test_mask_files_are_named_where_they_are_the_source() -> None:
    line = refusal(**{"stl10.masks.source": "files", "stl10.masks.files": ABSENT})
    assert line == "stl10.masks.files: missing key; source is files"
    Params.model_validate(changed(**{"stl10.masks.files": ABSENT}))


@pytest.mark.parametrize("folder", ["/masks", "../masks", "masks/../../other", ".", ""])
def test_mask_files_lie_where_dvc_watches_them(folder: str) -> None:
    line = refusal(**{"stl10.masks.files.folder": folder})
    assert (
        line
        == f"stl10.masks.files.folder: found {folder!r}; accepted: the name of a folder in data/raw/DATASET"
    )


def test_the_size_of_a_test_split_of_photographs_is_checked_where_it_is_known() -> None:
    few = {"datasets": ["imagenet10"], "imagenet10.data.test_per_class": 40}
    assert refusal(**few).startswith("imagenet10.evaluate.n: found 500; accepted: up to 400")
    unused = Params.model_validate(changed(**{"imagenet10.data.test_per_class": 40}))
    assert unused.datasets == ("shapes6",)
    unknown = Params.model_validate(changed(datasets=["folder"]))
    unknown.of("folder").check_test_images("folder", 500)
    with pytest.raises(UserError, match=r"^folder\.evaluate\.n: found 500; accepted: up to 499"):
        unknown.of("folder").check_test_images("folder", 499)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", f"empty; accepted: a mapping with the keys {TOP}"),
        ("null\n", f"empty; accepted: a mapping with the keys {TOP}"),
        ("- 1\n", f"found [1]; accepted: a mapping with the keys {TOP}"),
        ("seed: 0\nseed: 1\n", "not readable as YAML: line 2: found duplicate key"),
        ("seed: [0\n", "not readable as YAML: line 2: did not find expected ',' or ']'"),
        ("seed: !!python/object/apply:os.getcwd []\n", "not readable as YAML: line 1: "),
        ("seed: !!int one\n", "not readable as YAML: invalid literal for int() with base 10: 'one'"),
        ("seed: 2026-13-01\n", "not readable as YAML: month must be in 1..12"),
        (f"seed: {'[' * 3000}\n", "not readable as YAML: "),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_in_one_line(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_params(path)
    assert str(caught.value).startswith(f"{path}: {line}") and "\n" not in str(caught.value)


def test_an_absent_or_undecodable_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"params\.yaml: not found; run from the top of the project"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_bytes(b"seed: \xff")
    with pytest.raises(UserError, match="not readable as YAML: 'utf-8' codec"):
        load_params(tmp_path / "params.yaml")


def test_yaml_1_2_numbers_are_numbers(tmp_path: Path) -> None:
    text = (
        (ROOT / "params.yaml")
        .read_text(encoding="utf-8")
        .replace("weight_decay: 0.0005", "weight_decay: 5e-4")
    )
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_params(path).of("shapes6").train.optimiser.weight_decay == 5e-4


def test_grid_and_radius_follow_the_norm() -> None:
    params = Params.model_validate(changed(**{"folder.eps_scale": 0.5}))
    assert params.grid("shapes6", "Linf").eps_b == (0, 10, 20, 30, 40)
    assert params.radius("shapes6", "Linf", 20.0, 32) == 20 / 255
    assert params.grid("shapes6", "L2").eps_b == (0, 5, 10, 15, 20)
    assert params.radius("shapes6", "L2", 20.0, 32) == pytest.approx(20 / 7)
    assert params.radius("folder", "L2", 20.0, 224) == 10.0


def test_a_single_budget_serves_both_norms() -> None:
    params = Params.model_validate(changed(eps_f={"L2": 1.0, "Linf": 2}, eps_b=30))
    assert params.budgets("L2") == (1.0, 30.0) and params.budgets("Linf") == (2.0, 30.0)
    assert Params.model_validate(params.model_dump()) == params


def test_a_measure_takes_as_many_images_as_the_panels_where_it_says_so() -> None:
    params = Params.model_validate(changed(**{"folder.evaluate.n": 33}))
    chosen = params.of("folder").evaluate
    assert {chosen.transfer.n, chosen.strong.library_n, chosen.strong.cw.n} == {33}
    line = refusal(**{"folder.evaluate.health.n": "some"})
    assert line == "folder.evaluate.health.n: found 'some'; accepted: panels, or a whole number of at least 1"


def test_the_panels_are_the_figures_that_can_be_drawn() -> None:
    assert set(SHIPPED["plots"]["panels"]) == set(PANELS)


def test_all_axes_or_none_or_some_are_logarithmic() -> None:
    for given, found in ((True, get_args(LogAxis)), (False, ()), (["eps_b"], ("eps_b",))):
        assert Params.model_validate(changed(**{"plots.log_axes": given})).plots.log_axes == found


def test_the_measure_that_asks_for_most_images_is_named() -> None:
    for name in ("library_n", "cw.n"):
        key = f"shapes6.evaluate.strong.{name}"
        assert refusal(**{key: 1001}) == f"{key}: found 1001; accepted: up to 1000, the test images"


def test_adversarial_training_has_a_classifier_for_each_norm() -> None:
    params = Params.model_validate(changed(norms=["Linf", "L2"]))
    assert params.trained("at_dual") == params.trained("at_pgd") == ("Linf", "L2")
    assert params.trained("clean") == params.trained("smoothing_dual") == (None,)


def test_a_picture_shows_the_classifier_of_its_norm_or_else_of_the_first() -> None:
    params = Params.model_validate(changed(norms=["Linf", "L2"]))
    assert params.trained_for("at_pgd", "L2") == "L2" and params.trained_for("at_pgd", "L1") == "Linf"
    assert params.trained_for("clean", "L2") is None


def test_the_figures_norms_are_the_papers_whatever_those_of_training() -> None:
    for norms in (["L2"], ["Linf"], ["Linf", "L2"]):
        assert Params.model_validate(changed(norms=norms)).figures == FIGURES


@pytest.mark.parametrize("bound", [0, 0.9, 1, "clean", "clean-0", "clean-0.05", "clean-1.0"])
def test_the_bounds_of_params_are_those_of_the_attack(bound: float | str) -> None:
    from dualperturb.core.bounded import constraint

    params = Params.model_validate(changed(**{FIG1_BOUND: bound}))
    assert params.figures.fig1.min_foreground_score == bound
    images, foreground = torch.rand(1, 3, 4, 4), torch.ones(1, 1, 4, 4, dtype=torch.bool)
    foreground[..., :2] = False
    constraint([lambda seen: torch.zeros(1, 4, 4) - math.log(16)], images, foreground, bound)


def test_the_names_of_the_saliency_models_are_those_that_can_be_built() -> None:
    from dualperturb import saliency

    assert set(OPTIONS) == set(saliency._MODELS)


def test_a_saliency_model_is_a_name_or_a_name_with_options() -> None:
    plain = Params.model_validate(changed(**{"shapes6.masks.model": "deepgaze"})).of("shapes6").masks.model
    assert (plain.name, plain.options) == ("deepgaze", {})
    asked = {"name": "deepgaze", "variant": "I", "side": 64}
    params = Params.model_validate(changed(**{"shapes6.masks.model": asked}))
    assert params.of("shapes6").masks.model.options == {"variant": "I", "side": 64}
    assert Params.model_validate(params.model_dump()) == params


ONNX = {"shapes6.masks.model": {"name": "onnx", "file": "u2net.onnx"}}
JUDGED = "shapes6.evaluate.unsuspicious"
UNWEIGHTED = ONNX | {
    **{"shapes6.evaluate.salience_weights": [0], "figures.fig1.salience_weights": [0]},
    **{"figures.fig1.min_foreground_score": 0},
    **{f"{JUDGED}.salience_weight": 0, f"{JUDGED}.bounds": []},
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("salience_weight.shapes6", 1.0),
        ("shapes6.train.at_dual.salience_weight", 0.1),
        ("shapes6.evaluate.salience_weights", [0, 0.1]),
        ("figures.fig1.salience_weights", [10]),
        ("figures.fig1.min_foreground_score", "clean"),
        (f"{JUDGED}.salience_weight", 1.0),
    ],
)
def test_a_saliency_model_without_a_gradient_is_climbed_nowhere(key: str, value: object) -> None:
    assert refusal(**(UNWEIGHTED | {key: value})) == (
        "shapes6.masks.model: found onnx, which has no gradient to climb; accepted: its option "
        f"gradient: true, builtin, center or deepgaze, or 0 alone in {key}"
    )
    Params.model_validate(changed(**{key: value}))  # with a gradient


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"bounds": [1.2]}, 'bounds[0]: found 1.2; accepted: a number from 0 to 1, "clean", or such as'),
        ({"bounds": ["clean", "clean"]}, "bounds: holds 'clean' twice"),
        ({"bounds": [float("nan")]}, "bounds[0]: found nan; accepted: a number from 0 to 1"),
        ({"bounds": [True]}, "bounds[0]: found true; accepted: a number from 0 to 1"),
        ({"bounds": ["clean*2"]}, "bounds[0]: found 'clean*2'; accepted: a number from 0 to 1"),
        ({"reserve": 2}, "reserve: found 2; accepted: a number from 0 to 1"),
        ({"judges": ["builtin"]}, "judges: found builtin, which guides holds, too; accepted: other models"),
        ({"judges": ["contrast"], "guides": []}, ""),
        ({"judges": ["builtin"], "guides": []}, "judges: found builtin, which masks.model names and"),
        ({"judges": ["center"]}, "judges: found center, which looks at no image; accepted: other models"),
        ({"guides": ["center"]}, "guides: found center, which looks at no image; accepted: other models"),
        ({"guides": ["contrast"] * 2}, "guides: found contrast, contrast; accepted: each model once"),
        ({"guides": [{"name": "onnx", "file": "a.onnx"}]}, "guides: found onnx without a gradient;"),
        ({"guides": "builtin"}, "guides: found 'builtin'; accepted: a list, or [] for none"),
        ({"bounds": "clean"}, "bounds: found 'clean'; accepted: a list, or [] for none"),
    ],
)
def test_who_guides_does_not_judge_and_bounds_are_scores(given: dict[str, object], line: str) -> None:
    asked = {f"{JUDGED}.{key}": value for key, value in given.items()}
    if line:
        assert refusal(**asked).startswith(f"{JUDGED}.{line}")
    else:
        Params.model_validate(changed(**asked))


def test_a_guide_of_the_scoring_models_name_is_that_model() -> None:
    model = {"shapes6.masks.model": {"name": "deepgaze", "variant": "I"}}
    assert refusal(**model, **{f"{JUDGED}.guides": ["deepgaze"]}) == (
        f"{JUDGED}.guides: found deepgaze with other options than masks.model has; "
        "accepted: the same ones, or another model"
    )
    Params.model_validate(changed(**model, **{f"{JUDGED}.guides": [model["shapes6.masks.model"]]}))


def test_a_bound_of_the_sweeps_takes_the_salience_weights_place() -> None:
    key = "shapes6.evaluate.min_foreground_score"
    Params.model_validate(changed(**{key: "clean-0.05"}))
    assert refusal(**{key: 0.5, "salience_weight.shapes6": 1.0}) == (
        f"{key}: found 0.5; accepted: none, unless salience_weight.shapes6 is 0"
    )
    assert refusal(**(UNWEIGHTED | {f"{JUDGED}.bounds": [0.5]})) == (
        f"{JUDGED}.bounds: found (0.5,), but masks.model, onnx, has no gradient to climb; "
        "accepted: none, or [] for bounds"
    )


def test_a_saliency_model_without_a_gradient_serves_where_no_salience_is_climbed() -> None:
    assert refusal(**ONNX).endswith(
        f"or 0 alone in shapes6.evaluate.salience_weights, {JUDGED}.salience_weight, "
        "figures.fig1.salience_weights, figures.fig1.min_foreground_score"
    )
    assert not Params.model_validate(changed(**UNWEIGHTED)).of("shapes6").masks.model.has_gradient
    other = {key.replace("shapes6", "folder"): value for key, value in ONNX.items()}
    Params.model_validate(changed(**other))  # of a data set that is not used


def test_an_onnx_model_that_is_converted_is_climbed() -> None:
    options = {"gradient": True, "mean": [0.5, 0.5, 0.5], "std": 1, "output": "d0", "scores": "logits"}
    asked = {"shapes6.masks.model": ONNX["shapes6.masks.model"] | options}
    params = Params.model_validate(changed(**asked))
    assert params.of("shapes6").masks.model.has_gradient
    assert Params.model_validate(params.model_dump()) == params
    asked["shapes6.masks.model"]["std"] = [1, 1, 0]
    assert refusal(**asked) == (
        "shapes6.masks.model.std: found [1, 1, 0]; accepted: a finite number above 0, or three "
        "(red, green, blue)"
    )


def test_the_options_are_those_that_the_models_take() -> None:
    from inspect import signature

    from dualperturb import saliency

    for name, (module, kind) in saliency._MODELS.items():
        model = getattr(import_module(module), kind)
        taken = {
            key: one for key, one in signature(model).parameters.items() if key not in ("args", "kwargs")
        }
        assert set(OPTIONS[name]) == set(taken)
        assert set(REQUIRED.get(name, ())) == {key for key, one in taken.items() if one.default is one.empty}


def test_the_axes_that_have_a_grid_are_its_keys() -> None:
    from dualperturb.params.evaluation import Evaluate, Grid

    assert [axis for axis in AXES if axis in Grid.model_fields] == ["eps", "eps_f", "eps_b"]
    assert set(AXES) - set(Grid.model_fields) == {"salience_weight"}
    assert "salience_weights" in Evaluate.model_fields


def test_one_seed_is_short_for_all() -> None:
    short = {key: value for key, value in SHIPPED.items() if key != "seeds"} | {"seed": 3}
    seeds = Params.model_validate(short).seeds
    assert (seeds.data, seeds.training, seeds.attack) == (3, (3,), 3)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "seed: found beside seeds, for all of which it is short; accepted: one of the two"),
        ({"seeds": ABSENT, "seed": -1}, f"seed: found -1; accepted: a whole number from 0 to {2**63 - 1}"),
        (
            {"seeds": ABSENT, "seed": True},
            f"seed: found true; accepted: a whole number from 0 to {2**63 - 1}",
        ),
        ({"seeds": ABSENT, "seed": ABSENT}, "seeds: missing key"),
    ],
)
def test_a_wrong_short_form_is_refused_in_one_line(changes: dict[str, object], line: str) -> None:
    raw = changed(**{"seed": 0} | {key: value for key, value in changes.items() if value is not ABSENT})
    for key in [key for key, value in changes.items() if value is ABSENT]:
        del raw[key]
    with pytest.raises(ValidationError) as caught:
        Params.model_validate(raw)
    assert first_line(caught.value) == line


def test_a_tab_before_a_comment_is_read_as_dvc_reads_it(tmp_path: Path) -> None:
    serialize = pytest.importorskip("dvc.utils.serialize")
    path = tmp_path / "params.yaml"
    shipped = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert "\neps_b: 20.0  " in shipped
    path.write_text(shipped.replace("\neps_b: 20.0", "\neps_b: 7.0\t"), encoding="utf-8")
    assert load_params(path).eps_b["L2"] == serialize.load_yaml(path)["eps_b"] == 7


def test_an_experiment_changes_the_line_of_its_value_alone(tmp_path: Path) -> None:
    """The file is kept in the form that DVC writes, with comments where DVC keeps them."""
    hydra = pytest.importorskip("dvc.utils.hydra")
    path = Path(shutil.copy(ROOT / "params.yaml", tmp_path))
    shipped = path.read_text(encoding="utf-8")
    hydra.apply_overrides(path, ["seeds.attack=0"])
    assert path.read_text(encoding="utf-8") == shipped
    hydra.apply_overrides(path, ["seeds.attack=1", "seeds.training=[7]"])
    changed = shipped.replace("\n  attack: 0 ", "\n  attack: 1 ").replace(
        "\n  - 0\n  attack", "\n  - 7\n  attack"
    )
    assert path.read_text(encoding="utf-8") == changed


def test_dvc_looks_at_every_grid_of_the_shipped_file() -> None:
    """Else a changed grid of a norm that was added would not be measured."""
    listed = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    for name in SHIPPED["datasets"]:
        for norm, grid in SHIPPED[name]["evaluate"]["grid"].items():
            for axis in grid:
                assert f"${{item.dataset}}.evaluate.grid.{norm}.{axis}\n" in listed


def test_reading_parameters_imports_no_torch() -> None:
    code = "import sys, dualperturb.params; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_warm_up_must_end_before_the_training() -> None:
    line = refusal(**{"shapes6.train.at_dual.warmup_epochs": 10})
    assert line.startswith("shapes6.train.at_dual: warmup_epochs 10 leaves no epoch of 10 at the full budget")
