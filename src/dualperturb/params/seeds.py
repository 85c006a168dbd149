"""The section `seeds` of params.yaml: a seed for each kind of random choice, and its short form `seed`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, TypeAdapter, ValidationError

from dualperturb.params.fields import Section, Seed, are_distinct, is_list
from dualperturb.params.refusals import first_line, wrong_key


class Seeds(Section):
    """data: of the images that shapes6 draws, and of which test images are measured; training: of trainings.

    Every classifier is trained once by each seed of training; pictures show the first. attack: of attacks'
    random starts and of AutoAttack, and of smoothing's noise at test time.
    """

    data: Seed
    training: Annotated[tuple[Seed, ...], BeforeValidator(is_list), AfterValidator(are_distinct)]
    attack: Seed


def without_short_form(raw: dict[str, Any]) -> dict[str, Any]:
    """The parameters with `seeds` in place of `seed: N`, which stands for N in all three."""
    if "seed" not in raw:
        return raw
    if "seeds" in raw:
        raise wrong_key("seed", "found beside seeds, for all of which it is short; accepted: one of the two")
    rest, seed = {key: value for key, value in raw.items() if key != "seed"}, raw["seed"]
    try:
        TypeAdapter(Seed).validate_python(seed)
    except ValidationError as error:
        raise wrong_key("seed", first_line(error)) from None
    return rest | {"seeds": {"data": seed, "training": [seed], "attack": seed}}
