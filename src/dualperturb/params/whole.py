"""The whole of params.yaml as one frozen object, and what holds between its sections.

A value outside its range, an unknown key or data set, or a number that arrives as text raises UserError with
one line that names the key, what was found and what is accepted. Imports no torch.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, model_validator

from dualperturb.core.budgets import applied_radius
from dualperturb.errors import UserError
from dualperturb.params.consistency import CHECKS
from dualperturb.params.dataset import DATASETS, DataSet, DataSets
from dualperturb.params.evaluation import Grid
from dualperturb.params.fields import (
    Budget,
    Count,
    CountOrAuto,
    NonNegative,
    Section,
    accepts,
    are_distinct,
    check_keys,
    is_list,
    one_of,
)
from dualperturb.params.figures import Figures, Norm
from dualperturb.params.plots import Plots, all_coloured
from dualperturb.params.seeds import Seeds, without_short_form
from dualperturb.params.training import DEFENCES, SMOOTHED, TRAINED_BY_NORM

AXES = ("eps", "eps_f", "eps_b", "salience_weight")  # what an attack is swept over
SALIENCE_LOSSES = ("cross_entropy", "dlr")  # with which of `core.losses` the salience weight is swept


def _by_dataset(raw: object) -> object:
    check_keys(raw, DATASETS, ())
    return raw


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


class Params(DataSets):
    datasets: Annotated[tuple[Annotated[str, one_of(DATASETS)], ...], BeforeValidator(is_list)]
    seeds: Seeds
    runtime: Runtime
    norms: Annotated[tuple[Norm, ...], BeforeValidator(is_list), AfterValidator(are_distinct)]
    named: Annotated[
        tuple[str, ...],
        accepts("a list of names of DATASET.train.named, [] for none"),
        AfterValidator(are_distinct),
    ]
    eps_f: Budget
    eps_b: Budget
    salience_weight: Annotated[dict[str, NonNegative], BeforeValidator(_by_dataset)]
    figures: Figures
    plots: Plots

    @model_validator(mode="before")
    @classmethod
    def _seed_is_short(cls, raw: object) -> object:
        return without_short_form(raw) if isinstance(raw, dict) else raw

    @model_validator(mode="before")
    @classmethod
    def _named_have_colours(cls, raw: object) -> object:
        """What is not as it should be is left to the fields' own checks."""
        if not isinstance(raw, dict) or not isinstance(plots := raw.get("plots"), dict):
            return raw
        palette, named = plots.get("palette"), raw.get("named")
        if not isinstance(palette, dict) or not isinstance(named, list):
            return raw
        coloured = all_coloured(palette, [str(name) for name in named])
        return {**raw, "plots": {**plots, "palette": coloured}}

    @model_validator(mode="after")
    def _consistent(self) -> Params:
        for check in CHECKS:
            check(self)
        return self

    def of(self, dataset: str) -> DataSet[Any]:
        """The section of a data set. Raises UserError for an unknown name."""
        if dataset not in DATASETS:
            raise UserError(f"data set: found {dataset!r}, accepted are {', '.join(DATASETS)}")
        section: DataSet[Any] = getattr(self, dataset)
        return section

    def radius(self, dataset: str, norm: str, value: float, side: int) -> float:
        """The radius really applied for a budget `value` at the paper's scale (see `budgets`)."""
        return applied_radius(norm, value, side, self.of(dataset).eps_scale)

    def budgets(self, norm: str) -> tuple[float, float]:
        """eps_f and eps_b in a norm, at the paper's scale."""
        return self.eps_f[norm], self.eps_b[norm]

    def grid(self, dataset: str, norm: str) -> Grid:
        """The data set's budget grid in a norm."""
        return self.of(dataset).evaluate.grid[norm]

    def trained(self, defence: str) -> tuple[str | None, ...]:
        """The norms that a defence is trained with, a classifier each; None for one that knows no norm."""
        return self.norms if defence in (*TRAINED_BY_NORM, *self.named) else (None,)

    @property
    def swept(self) -> tuple[str, ...]:
        """The defences of all figures, tables and claims; those for smoothing have a stage of their own."""
        return (*(name for name in DEFENCES if name not in SMOOTHED), *self.named)

    @property
    def defences(self) -> tuple[str, ...]:
        return *DEFENCES, *self.named

    def trained_for(self, defence: str, norm: str) -> str | None:
        """The norm of training of the classifier that a picture in `norm` shows: that norm if it is among
        `norms`, else the first of them; None for a defence that knows no norm.
        """
        trained = self.trained(defence)
        return norm if norm in trained else trained[0]
