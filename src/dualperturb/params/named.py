"""Named defences, the section `named` of `train` in params.yaml: classifiers trained beside the paper's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, ValidationError

from dualperturb.core.budgets import NORMS
from dualperturb.params.adversarial import DualTraining, PgdTraining
from dualperturb.params.fields import Radii, one_of
from dualperturb.params.refusals import first_fault, refusal, shown, wrong_key

_NAME = re.compile(r"[a-z][a-z0-9_]*")
# What the tables call otherwise in a column of defences, or beside one: axes, all attacks, no norm, a folder.
_WORDS = ("eps", "eps_f", "eps_b", "salience_weight", "value", "any", "none", "smoothed")


class NamedPgd(PgdTraining):
    """A classifier beside AT-PGD, with a radius of its own."""

    adversary: Literal["pgd"]


class NamedDual(DualTraining):
    """A classifier beside AT-Dual. eps_f, eps_b: its budgets, by the norm of training.

    foreground_norm: that of eps_f, where it is another one. masks: each image's own; "random", its own at a
    random place, so that only the place differs; or "center", the centre bias's, the same for all images.
    """

    adversary: Literal["dual"]
    eps_f: Radii
    eps_b: Radii
    foreground_norm: Annotated[str, one_of(tuple(NORMS))] | None = None
    masks: Literal["own", "random", "center"] = "own"


_KINDS: dict[str, type[NamedPgd | NamedDual]] = {"pgd": NamedPgd, "dual": NamedDual}


def _by_adversary(raw: object) -> NamedPgd | NamedDual:
    """A named section by its key `adversary`. A union's own messages would name the classes."""
    found = raw.get("adversary") if isinstance(raw, dict) else raw
    if not isinstance(raw, dict) or found not in [*_KINDS]:  # in YAML it may be a list, which has no hash
        raise wrong_key("adversary", f"found {shown(found)}; accepted: {' or '.join(_KINDS)}")
    try:
        return _KINDS[str(found)].model_validate(raw)
    except ValidationError as error:
        raise wrong_key(*first_fault(error)) from None


Named = Annotated[NamedPgd | NamedDual, BeforeValidator(_by_adversary)]


def have_names(raw: object, defences: Sequence[str]) -> object:
    """Refuse names that cannot stand in paths and tables, or are those of the other defences."""
    if not isinstance(raw, dict):
        raise refusal("a mapping of names to sections, {} for none")
    taken = (*defences, *_WORDS)
    for name in raw:
        if name in taken or not _NAME.fullmatch(str(name)):
            raise wrong_key(
                str(name),
                "unknown key; accepted: names of lower-case letters, digits and _, a letter first, but not "
                + ", ".join(taken),
            )
    return raw


def inheriting(trainings: object) -> object:
    """The section `train`, whose named ones have what they do not say from at_pgd or at_dual, by their
    adversary. Leaves what is no mapping to the fields' own checks."""
    if not isinstance(trainings, dict) or not isinstance(named := trainings.get("named"), dict):
        return trainings
    return trainings | {"named": {name: _inherited(section, trainings) for name, section in named.items()}}


def _inherited(section: object, trainings: dict[str, object]) -> object:
    if not isinstance(section, dict):
        return section
    base = trainings.get(f"at_{section.get('adversary')}")
    return (base if isinstance(base, dict) else {}) | section
