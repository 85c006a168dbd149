"""The types of the values in params.yaml, and what these accept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WrapValidator,
    model_validator,
)

from dualperturb.core.budgets import NORMS
from dualperturb.params.refusals import refusal, shown, wrong_key
from dualperturb.text import nfc

LARGEST_SEED = 2**63 - 1  # torch's generators take no larger one


def accepts(text: str) -> WrapValidator:
    """Say in the words of a person what is accepted, in place of the type's own messages."""

    def check(value: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            return handler(value)
        except ValidationError:
            raise refusal(text) from None

    return WrapValidator(check)


def one_of(names: tuple[str, ...]) -> BeforeValidator:
    """Refuse whatever is none of `names`, in the words of a Literal: "L2 or Linf"."""

    def check(value: object) -> object:
        if value not in names:
            raise refusal(" or ".join([*filter(None, [", ".join(names[:-1])]), names[-1]]))
        return value

    return BeforeValidator(check)


def is_list(raw: object) -> object:
    if not isinstance(raw, list | tuple) or not raw:
        raise refusal("a list of at least one value")
    return raw


def are_distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    twice = [value for place, value in enumerate(values) if value in values[:place]]
    if twice:
        raise ValueError(f"holds {shown(twice[0])} twice")
    return values


def are_rising(values: tuple[float, ...]) -> tuple[float, ...]:
    for before, after in zip(values, values[1:], strict=False):
        if after <= before:
            raise ValueError(f"found {after:g} after {before:g}; accepted: numbers that rise")
    return values


def check_keys(raw: object, known: Iterable[str], required: Iterable[str]) -> None:
    """Refuse what is no mapping, an unknown key, a missing one: in this order, as a misspelt key is both."""
    if not isinstance(raw, dict):
        raise refusal(f"a mapping with the keys {', '.join(known)}")
    for key in raw:
        if key not in known:
            raise wrong_key(str(key), f"unknown key; accepted: {', '.join(known)}")
    for key in required:
        if key not in raw:
            raise wrong_key(key, "missing key")


class Section(BaseModel):
    """A mapping in params.yaml: no unknown key, and every key but those with a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _keys_known(cls, raw: object) -> object:
        if not isinstance(raw, cls):
            required = [key for key, field in cls.model_fields.items() if field.is_required()]
            check_keys(raw, cls.model_fields, required)
        return raw


def are_names(raw: object) -> object:
    if raw != "all" and not (isinstance(raw, dict) and raw):
        raise refusal("all, or a mapping of folder to shown name")
    for folder, name in raw.items() if isinstance(raw, dict) else ():
        if not (isinstance(folder, str) and isinstance(name, str)):
            raise ValueError(f"found {shown(folder)}: {shown(name)}; accepted: two texts, a number in quotes")
    if not isinstance(raw, dict):
        return raw
    are_distinct(tuple(map(nfc, raw)))
    names = {nfc(folder): nfc(name) for folder, name in raw.items()}
    are_distinct(tuple(names.values()))
    return names


def is_inside(path: str) -> str:
    """Refuse a path that leaves the folder that it is relative to."""
    if Path(path).is_absolute() or not Path(path).parts or ".." in Path(path).parts:
        raise ValueError(f"found {shown(path)}; accepted: the name of a folder in data/raw/DATASET")
    return path


Text = Annotated[str, accepts("text")]
Switch = Annotated[bool, Field(strict=True), accepts("true or false")]
Count = Annotated[int, Field(strict=True, ge=1), accepts("a whole number of at least 1")]
# Of training: BatchNorm knows no deviation of a single image.
Several = Annotated[int, Field(strict=True, ge=2), accepts("a whole number of at least 2")]
Index = Annotated[int, Field(strict=True, ge=0), accepts("a whole number of at least 0")]
Seed = Annotated[
    int, Field(strict=True, ge=0, le=LARGEST_SEED), accepts(f"a whole number from 0 to {LARGEST_SEED}")
]
# Of test images; params.yaml's `panels` is read as the number of the panels' before.
ImageCount = Annotated[int, Field(strict=True, ge=1), accepts("panels, or a whole number of at least 1")]
CountOrAll = Annotated[Literal["all"] | Count, accepts("all, or a whole number of at least 1")]
SeveralOrAll = Annotated[Literal["all"] | Several, accepts("all, or a whole number of at least 2")]
CountOrAuto = Annotated[Literal["auto"] | Count, accepts("auto, or a whole number of at least 1")]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
NonNegative = Annotated[Finite, Field(ge=0), accepts("a finite number of at least 0")]
Positive = Annotated[Finite, Field(gt=0), accepts("a finite number above 0")]
Fraction = Annotated[Finite, Field(ge=0, le=1), accepts("a number from 0 to 1")]
Part = Annotated[Finite, Field(gt=0, le=1), accepts("a number above 0 and up to 1")]
Level = Annotated[Finite, Field(gt=0, lt=1), accepts("a number above 0 and below 1")]
BelowOne = Annotated[Finite, Field(ge=0, lt=1), accepts("a number of at least 0 and below 1")]
Share = Annotated[Finite, Field(gt=0, le=2), accepts("a number above 0 and up to 2")]
Scale = Annotated[Literal["auto"] | Positive, accepts("auto, or a finite number above 0")]
Values = Annotated[tuple[NonNegative, ...], BeforeValidator(is_list), AfterValidator(are_distinct)]
Shares = Annotated[tuple[Part, ...], BeforeValidator(is_list), AfterValidator(are_rising)]
Indices = Annotated[tuple[Index, ...], BeforeValidator(is_list)]
Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$"), accepts('a colour such as "#0072B2", in quotes')]
# Below 6 inches labels overlap.
Width = Annotated[Finite, Field(ge=6, le=24), accepts("a number of inches from 6 to 24")]
Dpi = Annotated[int, Field(strict=True, ge=50, le=600), accepts("a whole number from 50 to 600")]


def by_norm(raw: object) -> object:
    """A mapping of norms; that those in use are all in it, `params` checks."""
    check_keys(raw, NORMS, ())
    return raw


def for_every_norm(raw: object) -> object:
    """A number stands for the same number in every norm."""
    return dict.fromkeys(NORMS, raw) if isinstance(raw, (int, float)) and not isinstance(raw, bool) else raw


Radii = Annotated[dict[str, NonNegative], BeforeValidator(by_norm)]
Budget = Annotated[
    Radii,
    BeforeValidator(for_every_norm),
    accepts("a finite number of at least 0, or a mapping with one for each of norms"),
]
CountByNorm = Annotated[
    dict[str, Count],
    BeforeValidator(by_norm),
    BeforeValidator(for_every_norm),
    accepts("a whole number of at least 1, or a mapping with one for each of norms"),
]
