"""Checks of params.yaml between its sections, run once each section has passed its own.

Each raises ValueError in one line: key, what was found, what is accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dualperturb.params.adversarial import DualTraining, PgdTraining

if TYPE_CHECKING:
    from dualperturb.params.whole import Params


def datasets_complete(params: Params) -> None:
    for name in params.datasets:
        if params.datasets.count(name) > 1:
            raise ValueError(f"datasets: found {name} twice; accepted: each data set once")
        if name not in params.salience_weight:
            raise ValueError(f"salience_weight.{name}: missing key; datasets names {name}")
        params.of(name).check(name)


def norms_complete(params: Params) -> None:
    """For the data sets in use: budgets, AT-PGD's radius, steps and a grid for each norm in use."""
    by_norm: dict[str, Mapping[str, object]] = {"eps_f": params.eps_f, "eps_b": params.eps_b}
    for name in params.datasets:
        by_norm[f"{name}.train.at_pgd.eps"] = params.of(name).train.at_pgd.eps
        for defence in params.named:
            by_norm |= _named_budgets(params, name, defence)
        by_norm[f"{name}.evaluate.steps"] = params.of(name).evaluate.steps
        by_norm[f"{name}.evaluate.grid"] = params.of(name).evaluate.grid
    for key, given in by_norm.items():
        for norm in params.norms:
            if norm not in given:
                raise ValueError(f"{key}.{norm}: missing key; norms names {norm}")
    for name in params.datasets:
        for figure, norm in (("fig1", params.figures.fig1.norm), ("fig2", params.figures.fig2.norm)):
            if norm not in params.of(name).evaluate.steps:
                raise ValueError(
                    f"{name}.evaluate.steps.{norm}: missing key; figures.{figure}.norm names {norm}"
                )


def pictured_are_measured(params: Params) -> None:
    for figure, defence in (("fig1", params.figures.fig1.defence), ("fig2", params.figures.fig2.defence)):
        if defence not in params.swept:
            raise ValueError(
                f"figures.{figure}.defence: found {defence!r}; accepted: {', '.join(params.swept)}"
            )
    named = [name for dataset in params.datasets for name in params.of(dataset).train.named]
    known = dict.fromkeys((*params.defences, *named))  # a colour may stand for one that is not used now
    for name in params.plots.palette:
        if name not in known:
            raise ValueError(f"plots.palette.{name}: unknown key; accepted: {', '.join(known)}")


def named_have_an_adversary(params: Params) -> None:
    """Without a budget in some norm one would be trained on clean images, and told as a defence."""
    for name in params.datasets:
        for defence in params.named:
            budgets = _named_budgets(params, name, defence)
            for norm in params.norms:
                if not any(given[norm] for given in budgets.values()):
                    key, keys = f"{name}.train.named.{defence}", [key.rpartition(".")[2] for key in budgets]
                    raise ValueError(
                        f"{key}: found 0 in {norm} for {' and '.join(keys)}; accepted: a budget above 0"
                    )


def _named_budgets(params: Params, dataset: str, defence: str) -> dict[str, Mapping[str, object]]:
    """The mappings by norm of a named defence, by their keys."""
    train, key = params.of(dataset).train, f"{dataset}.train.named"
    if defence not in train.named:
        raise ValueError(
            f"named: found {defence}; accepted: the names in {key}: {', '.join(train.named) or 'none'}"
        )
    section = train.named[defence]
    keys = ("eps",) if isinstance(section, PgdTraining) else ("eps_f", "eps_b")
    return {f"{key}.{defence}.{name}": getattr(section, name) for name in keys}


def something_may_change(params: Params) -> None:
    """Else the health checks would end the run after hours: no attack has a budget to check."""
    for norm in params.norms:
        if params.budgets(norm) == (0, 0):
            raise ValueError(f"eps_b: found 0 in {norm}, as in eps_f; accepted: one of the two above 0")


def salience_has_a_gradient(params: Params) -> None:
    """Before hours of training: every weight here is climbed in some stage of the pipeline."""
    for name in params.datasets:
        section = params.of(name)
        weights = {
            f"salience_weight.{name}": (params.salience_weight[name],),
            **_salience_weights_of_training(params, name),
            f"{name}.evaluate.salience_weights": section.evaluate.salience_weights,
            f"{name}.evaluate.unsuspicious.salience_weight": (section.evaluate.unsuspicious.salience_weight,),
            "figures.fig1.salience_weights": params.figures.fig1.salience_weights,
            "figures.fig1.min_foreground_score": (params.figures.fig1.min_foreground_score,),
        }
        climbed = [key for key, values in weights.items() if any(values)]
        if climbed and not section.masks.model.has_gradient:
            raise ValueError(
                f"{name}.masks.model: found {section.masks.model.name}, which has no gradient "
                "to climb; accepted: its option gradient: true, builtin, center or deepgaze, or 0 alone "
                f"in {', '.join(climbed)}"
            )


def _salience_weights_of_training(params: Params, dataset: str) -> dict[str, tuple[float, ...]]:
    train = params.of(dataset).train
    keys = {"at_dual": "at_dual"} | {name: f"named.{name}" for name in params.named}
    sections = {key: train.of(name) for name, key in keys.items()}
    return {
        f"{dataset}.train.{key}.salience_weight": (section.salience_weight,)
        for key, section in sections.items()
        if isinstance(section, DualTraining)
    }


def bounds_can_be_held(params: Params) -> None:
    """A bound takes the salience weight's place, and its attack climbs the saliency model."""
    for name in params.datasets:
        chosen, model = params.of(name).evaluate, params.of(name).masks.model
        bound, several = chosen.min_foreground_score, chosen.unsuspicious.bounds
        if bound is not None and params.salience_weight[name]:
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


CHECKS = (
    datasets_complete,
    norms_complete,
    pictured_are_measured,
    named_have_an_adversary,
    something_may_change,
    salience_has_a_gradient,
    bounds_can_be_held,
)
