"""params.yaml as frozen, checked objects: the only reader of that file.

A value outside its range, an unknown key or data set, or a number that arrives as text raises UserError with
one line that names the key, what was found and what is accepted. Imports no torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from dualperturb.accepted import (
    Colour,
    Count,
    CountOrAll,
    Dpi,
    Fraction,
    Index,
    Indices,
    Momentum,
    NonNegative,
    Positive,
    Scale,
    Section,
    Seed,
    Share,
    Switch,
    Text,
    Values,
    are_names,
    check_keys,
    first_line,
    is_list,
    wrong_key,
)
from dualperturb.budgets import applied_radius
from dualperturb.errors import UserError
from dualperturb.mask_params import Masks

Norm = Literal["L2", "Linf"]
Dataset = Literal["shapes6", "segment6", "stl10", "imagenet10", "folder"]
Defence = Literal["clean", "at_pgd", "at_dual"]

DATASETS: tuple[str, ...] = get_args(Dataset)
DEFENCES: tuple[str, ...] = get_args(Defence)
_SEGMENT6_CLASSES = 6
AXES = ("eps", "eps_f", "eps_b", "salience_weight")  # what an attack is swept over


def _by_dataset(raw: object) -> object:
    check_keys(raw, DATASETS, ())
    return raw


def _by_defence(raw: object) -> object:
    check_keys(raw, DEFENCES, DEFENCES)
    return raw


class Shapes6Data(Section):
    train: Count
    test: Count
    background_match: Fraction


class PhotoData(Section):
    """`classes`: folder name to shown name, in the order of the labels."""

    classes: Annotated[Literal["all"] | dict[str, str], BeforeValidator(are_names)]
    resize: Count
    side: Count
    train_per_class: CountOrAll
    test_per_class: CountOrAll
    unreadable: Literal["refuse", "skip"]

    @model_validator(mode="after")
    def _crop_fits(self) -> PhotoData:
        if self.side > self.resize:
            raise wrong_key("side", f"found {self.side}; accepted: up to resize, which is {self.resize}")
        return self


class Segment6Data(Section):
    train_per_class: CountOrAll
    test_per_class: CountOrAll


class Stl10Data(Section):
    train: CountOrAll
    test: CountOrAll


class Data(Section):
    shapes6: Shapes6Data
    segment6: Segment6Data
    stl10: Stl10Data
    imagenet10: PhotoData
    folder: PhotoData


class ClassifierParams(Section):
    architecture: Text
    weights: Text


class Optimiser(Section):
    batch_size: Count
    learning_rate: Positive
    momentum: Momentum
    weight_decay: NonNegative
    schedule: Literal["one_cycle", "cosine"]


class Augment(Section):
    pad: Index
    flip: Switch


class Radii(Section):
    L2: NonNegative
    Linf: NonNegative


class CleanTraining(Section):
    epochs: Count


class AdversarialTraining(Section):
    epochs: Count
    steps: Count
    step_size: Share
    warmup_epochs: NonNegative

    @model_validator(mode="after")
    def _full_budget_is_reached(self) -> AdversarialTraining:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs {self.warmup_epochs:g} leaves no epoch of {self.epochs} at the full budget; "
                "accepted: fewer than epochs"
            )
        return self


class PgdTraining(AdversarialTraining):
    eps: Radii


class DualTraining(AdversarialTraining):
    salience_weight: NonNegative


class Train(Section):
    classifier: ClassifierParams
    optimiser: Optimiser
    augment: Augment
    clean: CleanTraining
    at_pgd: PgdTraining
    at_dual: DualTraining


class Grid(Section):
    eps_f: Values
    eps_b: Values
    eps: Values

    @model_validator(mode="after")
    def _clean_accuracy_measured(self) -> Grid:
        if 0 not in self.eps:
            raise wrong_key(
                "eps", f"found {list(self.eps)}; accepted: 0 among them, where accuracy is the clean one"
            )
        return self


class Grids(Section):
    L2: Grid
    Linf: Grid


class Examples(Section):
    defence: Defence
    salience_weights: Values


class Evaluate(Section):
    n: Count
    batch_size: Count
    steps: Count
    step_size: Share
    restarts: Count
    objective: Literal["paper", "balanced"]
    salience_every: Count
    grid: Grids
    salience_weights: Values
    examples: Indices


class Plots(Section):
    """Look of the figures: colours by defence, width in inches, PNG resolution in dots per inch."""

    palette: Annotated[dict[Defence, Colour], BeforeValidator(_by_defence)]
    width_inches: Positive
    dpi: Dpi


class Params(Section):
    datasets: Annotated[tuple[Dataset, ...], BeforeValidator(is_list)]
    seed: Seed
    norm: Norm
    eps_f: NonNegative
    eps_b: NonNegative
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
            known = self._largest_test_split(dataset)
            if known is not None:
                self.check_test_images(dataset, known)
        return self

    def _largest_test_split(self, dataset: str) -> int | None:
        """The most images that the test split can hold; None where only the files can tell."""
        if dataset == "shapes6":
            return self.data.shapes6.test
        if dataset == "segment6":
            per_class = self.data.segment6.test_per_class
            return None if per_class == "all" else per_class * _SEGMENT6_CLASSES
        if dataset == "stl10":
            return None if self.data.stl10.test == "all" else self.data.stl10.test
        spec: PhotoData = getattr(self.data, dataset)
        if spec.test_per_class == "all" or spec.classes == "all":
            return None
        return spec.test_per_class * len(spec.classes)

    def check_test_images(self, dataset: str, count: int) -> None:
        """Raise UserError unless a test split of `count` images holds all that the evaluation asks for."""
        asked = self.evaluate[dataset]
        if asked.n > count:
            raise UserError(
                f"evaluate.{dataset}.n: found {asked.n}; accepted: up to {count}, the test images"
            )
        for place, position in enumerate(asked.examples):
            if position >= count:
                raise UserError(
                    f"evaluate.{dataset}.examples[{place}]: found {position}; "
                    f"accepted: 0 to {count - 1}, the positions in the test split"
                )

    def radius(self, dataset: str, value: float, side: int) -> float:
        """The radius really applied for a budget `value` at the paper's scale (see `budgets`)."""
        return applied_radius(self.norm, value, side, self.eps_scale[dataset])

    def grid(self, dataset: str) -> Grid:
        """The data set's budget grid in the norm of this run."""
        grid: Grid = getattr(self.evaluate[dataset].grid, self.norm)
        return grid


def load_params(path: Path) -> Params:
    """Read and check a params.yaml. Raises UserError with one line for the first mistake found."""
    try:
        raw = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run from the top of the project") from None
    except (OSError, UnicodeDecodeError, YAMLError) as error:
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
