"""Named defences in params.yaml: their names, colours and budgets."""

from __future__ import annotations

from typing import Any

import pytest

from dualperturb.figures.style import _CUES, line_cues
from dualperturb.params import AXES, DEFENCES, Params
from dualperturb.params.plots import FURTHER, all_coloured
from tests.small_tables import Look
from tests.test_params import SHIPPED, changed, refusal

NAMED = "shapes6.train.named"
PGD: dict[str, Any] = {"adversary": "pgd", "eps": {"L2": 5.0}}
DUAL: dict[str, Any] = {"adversary": "dual", "eps_f": {"L2": 2.0}, "eps_b": {"L2": 5.0}}


@pytest.mark.parametrize(
    "name", [*AXES, *DEFENCES, "value", "any", "none", "smoothed", "whole_L2", "a_Linf", "5", "_a"]
)
def test_a_name_that_means_something_else_in_paths_or_tables_is_refused(name: str) -> None:
    line = refusal(**{NAMED: {name: PGD}})
    assert line.startswith(f"{NAMED}.{name}: unknown key; accepted: names of lower-case letters")
    assert "smoothing_dual, eps, eps_f" in line


@pytest.mark.parametrize(
    ("adversary", "found"), [(["pgd"], "['pgd']"), ({"a": 1}, "{'a': 1}"), (None, "null"), (True, "true")]
)
def test_an_adversary_of_any_kind_is_told_as_it_is_written(adversary: object, found: str) -> None:
    line = refusal(**{NAMED: {"a": {**PGD, "adversary": adversary}}})
    assert line == f"{NAMED}.a.adversary: found {found}; accepted: pgd or dual"


def test_a_section_that_is_no_mapping_is_one_line() -> None:
    accepted = "accepted: a mapping of names to sections, {} for none"
    assert refusal(**{NAMED: "x"}) == f"{NAMED}: found 'x'; {accepted}"
    assert refusal(**{NAMED: ["a"]}) == f"{NAMED}: found ['a']; {accepted}"
    assert refusal(**{NAMED: {"a": None}}) == f"{NAMED}.a.adversary: found null; accepted: pgd or dual"


def test_adversarial_training_needs_a_budget_in_the_norms_in_use() -> None:
    zeros = {"eps_f": {"L2": 2, "Linf": 0}, "eps_b": {"L2": 0, "Linf": 0}}
    sections = {"one": DUAL | zeros, "other": PGD | {"eps": {"L2": 0, "Linf": 4}}}
    given = {NAMED: sections, "named": ["one"]}
    line = f"{NAMED}.one: found 0 in Linf for eps_f and eps_b; accepted: a budget above 0"
    assert refusal(**given) == line
    Params.model_validate(changed(**given, norms=["L2"]))
    given["named"] = ["other"]
    assert refusal(**given) == f"{NAMED}.other: found 0 in L2 for eps; accepted: a budget above 0"
    Params.model_validate(changed(**given, norms=["Linf"]))


def test_a_colour_may_stand_for_a_named_defence_that_is_not_used() -> None:
    key = "plots.palette.whole_5"
    found = Params.model_validate(changed(**{key: "#000000"}))
    assert found.plots.palette["whole_5"] == "#000000"
    assert refusal(datasets=["segment6"], **{key: "#000000"}).startswith(
        f"{key}: unknown key; accepted: clean"
    )


def test_named_defences_have_colours_that_nothing_else_has() -> None:
    shipped = list(SHIPPED["shapes6"]["train"]["named"])
    palette = SHIPPED["plots"]["palette"]
    coloured = all_coloured(palette, shipped)
    assert len(shipped) == 10 and len(set(coloured.values())) == len(palette) + 10
    assert all(coloured[name] == palette[name] for name in palette)
    held = all_coloured({**palette, "whole_20": FURTHER[0].lower()}, shipped)
    assert held["whole_20"] == FURTHER[0].lower() and FURTHER[0] not in held.values()
    assert len(all_coloured(palette, [f"n{number}" for number in range(30)])) == len(palette) + 30
    cues = [line_cues(name, Look(palette=coloured)) for name in coloured]
    assert len({one["marker"] for one in cues}) == len(_CUES) + 10
