"""params.yaml as frozen, checked objects: the only reader of that file.

A value outside its range, an unknown key or data set, or a number that arrives as text raises UserError with
one line that names the key, what was found and what is accepted. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from dualperturb.core.budgets import NORMS, applied_radius
from dualperturb.errors import UserError
from dualperturb.params.data import Data
from dualperturb.params.evaluation import Evaluate, Grid
from dualperturb.params.fields import (
    Budget,
    Colour,
    Count,
    CountOrAuto,
    Dpi,
    NonNegative,
    Scale,
    Section,
    Seed,
    Values,
    Width,
    are_distinct,
    check_keys,
    first_line,
    is_list,
    one_of,
)
from dualperturb.params.masks import Masks
from dualperturb.params.training import AdversarialTraining, Train, Training, trainings

DATASETS = tuple(Data.model_fields)
DEFENCES = trainings(Training)
TRAINED_BY_NORM = trainings(AdversarialTraining)  # one classifier a norm; the other defences know no norm
# Pixels of photographs: SSIM has a window of 11, and the L2 start of AutoAttack's Square runs over the edge
# at some sides up to 24 (where side // (side // 5) is 6).
_SMALLEST_SIDE = 25
_NAMELESS = frozenset(("shapes6", "stl10"))  # drawn, or all images in one file
AXES = ("eps", "eps_f", "eps_b", "salience_weight")  # what an attack is swept over


Defence = Annotated[str, one_of(DEFENCES)]
Norm = Annotated[str, one_of(tuple(NORMS))]


def _by_dataset(raw: object) -> object:
    check_keys(raw, DATASETS, ())
    return raw


def _by_defence(raw: object) -> object:
    check_keys(raw, DEFENCES, DEFENCES)
    return raw


class Examples(Section):
    defence: Defence
    salience_weights: Values


PanelName = Literal[
    "dual_examples", "noise_examples", "salience", "accuracy", "across", "gradients", "transfer", "smoothing"
]
PANELS: tuple[str, ...] = get_args(PanelName)  # in the paper's order, each a module of `figures`
LogAxis = Literal["eps", "eps_f", "eps_b", "salience_weight", "share", "radius"]


def _log_axes(raw: object) -> object:
    """true: all of them; false: none."""
    if isinstance(raw, bool):
        return get_args(LogAxis) if raw else ()
    return raw if raw == () else is_list(raw)


class Plots(Section):
    """Look of the figures: colours by defence, width in inches, PNG resolution in dots per inch.

    panels: the figures drawn; log_axes: the x axes that are logarithmic, maybe none.
    """

    palette: Annotated[dict[Defence, Colour], BeforeValidator(_by_defence)]
    width_inches: Width
    dpi: Dpi
    panels: Annotated[tuple[PanelName, ...], BeforeValidator(is_list), AfterValidator(are_distinct)]
    log_axes: Annotated[tuple[LogAxis, ...], BeforeValidator(_log_axes), AfterValidator(are_distinct)]


class Runtime(Section):
    """What computes, and how exactly.

    devices: processes a machine, one a GPU or, without a GPU, on the CPU; auto: every GPU, or one process.
    nodes: machines; more than one are started by torchrun or srun. precision: number type of the gradients
    and of training; auto: bf16 where the device computes in it. compile: what adversarial training attacks;
    auto: where it pays (on a GPU, in long trainings).
    """

    devices: CountOrAuto
    nodes: Count
    precision: Literal["auto", "fp32", "bf16"]
    compile: Literal["auto", "off"]


class Params(Section):
    datasets: Annotated[tuple[Annotated[str, one_of(DATASETS)], ...], BeforeValidator(is_list)]
    seed: Seed
    runtime: Runtime
    norms: Annotated[tuple[Norm, ...], BeforeValidator(is_list), AfterValidator(are_distinct)]
    eps_f: Budget
    eps_b: Budget
    salience_weight: Annotated[dict[str, NonNegative], BeforeValidator(_by_dataset)]
    eps_scale: Annotated[dict[str, Scale], BeforeValidator(_by_dataset)]
    examples: Examples
    data: Data
    masks: Annotated[dict[str, Masks], BeforeValidator(_by_dataset)]
    train: Annotated[dict[str, Train], BeforeValidator(_by_dataset)]
    evaluate: Annotated[dict[str, Evaluate], BeforeValidator(_by_dataset)]
    plots: Plots

    @model_validator(mode="after")
    def _datasets_complete(self) -> Params:
        for dataset in self.datasets:
            if self.datasets.count(dataset) > 1:
                raise ValueError(f"datasets: found {dataset} twice; accepted: each data set once")
            for section in ("salience_weight", "eps_scale", "masks", "train", "evaluate"):
                if dataset not in getattr(self, section):
                    raise ValueError(f"{section}.{dataset}: missing key; datasets names {dataset}")
            known = getattr(self.data, dataset).most_test_images()
            if known is not None:
                self.check_test_images(dataset, known)
        return self

    @model_validator(mode="after")
    def _norms_complete(self) -> Params:
        """For the data sets in use: budgets, AT-PGD's radius and a grid for each norm in use."""
        by_norm: dict[str, Mapping[str, object]] = {"eps_f": self.eps_f, "eps_b": self.eps_b}
        for dataset in self.datasets:
            by_norm[f"train.{dataset}.at_pgd.eps"] = self.train[dataset].at_pgd.eps
            by_norm[f"evaluate.{dataset}.grid"] = self.evaluate[dataset].grid
        for key, given in by_norm.items():
            for norm in self.norms:
                if norm not in given:
                    raise ValueError(f"{key}.{norm}: missing key; norms names {norm}")
        return self

    @model_validator(mode="after")
    def _photographs_large_enough(self) -> Params:
        for dataset in self.datasets:
            side = getattr(getattr(self.data, dataset), "side", _SMALLEST_SIDE)
            if side < _SMALLEST_SIDE:
                raise ValueError(f"data.{dataset}.side: found {side}; accepted: at least {_SMALLEST_SIDE}")
        return self

    @model_validator(mode="after")
    def _something_may_change(self) -> Params:
        """Else the health checks would end the run after hours: no attack has a budget to check."""
        for norm in self.norms:
            if self.budgets(norm) == (0, 0):
                raise ValueError(f"eps_b: found 0 in {norm}, as in eps_f; accepted: one of the two above 0")
        return self

    @model_validator(mode="after")
    def _masks_have_names(self) -> Params:
        for dataset in _NAMELESS.intersection(self.datasets):
            masks = self.masks[dataset]
            if masks.source == "files" and masks.files is not None and masks.files.match == "name":
                raise ValueError(
                    f"masks.{dataset}.files.match: found name, but {dataset} has no file names; "
                    "accepted: index"
                )
        return self

    @model_validator(mode="after")
    def _salience_has_a_gradient(self) -> Params:
        """Before hours of training: every weight here is climbed in some stage of the pipeline."""
        for dataset in self.datasets:
            if self.masks[dataset].model.has_gradient:
                continue
            weights = {
                f"salience_weight.{dataset}": (self.salience_weight[dataset],),
                f"train.{dataset}.at_dual.salience_weight": (self.train[dataset].at_dual.salience_weight,),
                f"evaluate.{dataset}.salience_weights": self.evaluate[dataset].salience_weights,
                "examples.salience_weights": self.examples.salience_weights,
            }
            climbed = [key for key, values in weights.items() if any(values)]
            if climbed:
                raise ValueError(
                    f"masks.{dataset}.model: found {self.masks[dataset].model.name}, which has no gradient "
                    "to climb; accepted: its option gradient: true, builtin, center or deepgaze, or 0 alone "
                    f"in {', '.join(climbed)}"
                )
        return self

    def check_test_images(self, dataset: str, count: int) -> None:
        """Raise UserError unless a test split of `count` images holds all that the evaluation asks for."""
        asked = self.evaluate[dataset]
        key, most = asked.largest_n()
        if most > count:
            raise UserError(
                f"evaluate.{dataset}.{key}: found {most}; accepted: up to {count}, the test images"
            )
        for place, position in enumerate(asked.examples):
            if position >= count:
                raise UserError(
                    f"evaluate.{dataset}.examples[{place}]: found {position}; "
                    f"accepted: 0 to {count - 1}, the positions in the test split"
                )

    def radius(self, dataset: str, norm: str, value: float, side: int) -> float:
        """The radius really applied for a budget `value` at the paper's scale (see `budgets`)."""
        return applied_radius(norm, value, side, self.eps_scale[dataset])

    def budgets(self, norm: str) -> tuple[float, float]:
        """eps_f and eps_b in a norm, at the paper's scale."""
        return self.eps_f[norm], self.eps_b[norm]

    def grid(self, dataset: str, norm: str) -> Grid:
        """The data set's budget grid in a norm."""
        return self.evaluate[dataset].grid[norm]

    def trained(self, defence: str) -> tuple[str | None, ...]:
        """The norms that a defence is trained with, a classifier each; None for one that knows no norm."""
        return self.norms if defence in TRAINED_BY_NORM else (None,)


def load_params(path: Path) -> Params:
    """Read and check a params.yaml. Raises UserError with one line for the first mistake found."""
    try:
        # As DVC reads it, in C where that is installed: what one of the two accepts, the other does.
        raw = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run from the top of the project") from None
    except (OSError, ValueError, RecursionError, YAMLError) as error:  # `!!int x` is a ValueError
        raise UserError(f"{path}: not readable as YAML: {_fault(error)}") from None
    if raw is None:
        raise UserError(f"{path}: empty; accepted: a mapping with the keys {', '.join(Params.model_fields)}")
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise UserError(f"{path}: {first_line(error)}") from None


def _fault(error: Exception) -> str:
    """What is wrong in a YAML file and where, in one line."""
    if isinstance(error, MarkedYAMLError) and error.problem and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {' '.join(str(error.problem).split())}"
    return " ".join(str(error).split())
