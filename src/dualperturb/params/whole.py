"""The whole of params.yaml as one frozen object, and what holds between its sections.

A value outside its range, an unknown key or data set, or a number that arrives as text raises UserError with
one line that names the key, what was found and what is accepted. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, model_validator

from dualperturb.core.budgets import applied_radius
from dualperturb.errors import UserError
from dualperturb.params.dataset import DATASETS, DataSet, DataSets
from dualperturb.params.evaluation import Grid
from dualperturb.params.fields import (
    Budget,
    Count,
    CountOrAuto,
    NonNegative,
    Section,
    are_distinct,
    check_keys,
    is_list,
    one_of,
)
from dualperturb.params.figures import Figures, Norm
from dualperturb.params.plots import Plots
from dualperturb.params.seeds import Seeds, without_short_form
from dualperturb.params.training import TRAINED_BY_NORM

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
    eps_f: Budget
    eps_b: Budget
    salience_weight: Annotated[dict[str, NonNegative], BeforeValidator(_by_dataset)]
    figures: Figures
    plots: Plots

    @model_validator(mode="before")
    @classmethod
    def _seed_is_short(cls, raw: object) -> object:
        return without_short_form(raw) if isinstance(raw, dict) else raw

    @model_validator(mode="after")
    def _datasets_complete(self) -> Params:
        for name in self.datasets:
            if self.datasets.count(name) > 1:
                raise ValueError(f"datasets: found {name} twice; accepted: each data set once")
            if name not in self.salience_weight:
                raise ValueError(f"salience_weight.{name}: missing key; datasets names {name}")
            self.of(name).check(name)
        return self

    @model_validator(mode="after")
    def _norms_complete(self) -> Params:
        """For the data sets in use: budgets, AT-PGD's radius, steps and a grid for each norm in use."""
        by_norm: dict[str, Mapping[str, object]] = {"eps_f": self.eps_f, "eps_b": self.eps_b}
        for name in self.datasets:
            by_norm[f"{name}.train.at_pgd.eps"] = self.of(name).train.at_pgd.eps
            by_norm[f"{name}.evaluate.steps"] = self.of(name).evaluate.steps
            by_norm[f"{name}.evaluate.grid"] = self.of(name).evaluate.grid
        for key, given in by_norm.items():
            for norm in self.norms:
                if norm not in given:
                    raise ValueError(f"{key}.{norm}: missing key; norms names {norm}")
        for name in self.datasets:
            for figure, norm in (("fig1", self.figures.fig1.norm), ("fig2", self.figures.fig2.norm)):
                if norm not in self.of(name).evaluate.steps:
                    raise ValueError(
                        f"{name}.evaluate.steps.{norm}: missing key; figures.{figure}.norm names {norm}"
                    )
        return self

    @model_validator(mode="after")
    def _something_may_change(self) -> Params:
        """Else the health checks would end the run after hours: no attack has a budget to check."""
        for norm in self.norms:
            if self.budgets(norm) == (0, 0):
                raise ValueError(f"eps_b: found 0 in {norm}, as in eps_f; accepted: one of the two above 0")
        return self

    @model_validator(mode="after")
    def _salience_has_a_gradient(self) -> Params:
        """Before hours of training: every weight here is climbed in some stage of the pipeline."""
        for name in self.datasets:
            section = self.of(name)
            weights = {
                f"salience_weight.{name}": (self.salience_weight[name],),
                f"{name}.train.at_dual.salience_weight": (section.train.at_dual.salience_weight,),
                f"{name}.evaluate.salience_weights": section.evaluate.salience_weights,
                f"{name}.evaluate.unsuspicious.salience_weight": (
                    section.evaluate.unsuspicious.salience_weight,
                ),
                "figures.fig1.salience_weights": self.figures.fig1.salience_weights,
                "figures.fig1.min_foreground_score": (self.figures.fig1.min_foreground_score,),
            }
            climbed = [key for key, values in weights.items() if any(values)]
            if climbed and not section.masks.model.has_gradient:
                raise ValueError(
                    f"{name}.masks.model: found {section.masks.model.name}, which has no gradient "
                    "to climb; accepted: its option gradient: true, builtin, center or deepgaze, or 0 alone "
                    f"in {', '.join(climbed)}"
                )
        return self

    @model_validator(mode="after")
    def _bounds_can_be_held(self) -> Params:
        """A bound takes the salience weight's place, and its attack climbs the saliency model."""
        for name in self.datasets:
            chosen, model = self.of(name).evaluate, self.of(name).masks.model
            bound, several = chosen.min_foreground_score, chosen.unsuspicious.bounds
            if bound is not None and self.salience_weight[name]:
                raise ValueError(
                    f"{name}.evaluate.min_foreground_score: found {bound}; accepted: none, unless "
                    f"salience_weight.{name} is 0"
                )
            for key, asked in (("min_foreground_score", bound), ("unsuspicious.bounds", several)):
                if asked not in (None, ()) and not model.has_gradient:
                    raise ValueError(
                        f"{name}.evaluate.{key}: found {asked}, but masks.model, {model.name}, has no "
                        "gradient to climb; accepted: none, or [] for bounds"
                    )
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
        return self.norms if defence in TRAINED_BY_NORM else (None,)

    def trained_for(self, defence: str, norm: str) -> str | None:
        """The norm of training of the classifier that a picture in `norm` shows: that norm if it is among
        `norms`, else the first of them; None for a defence that knows no norm.
        """
        trained = self.trained(defence)
        return norm if norm in trained else trained[0]
