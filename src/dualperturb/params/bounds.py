"""The types of a bound on the foreground score in params.yaml."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from dualperturb.core.bounds import ACCEPTED, reserve
from dualperturb.params.fields import accepts


def _is_bound(raw: object) -> object:
    number = isinstance(raw, int | float) and not isinstance(raw, bool) and 0 <= raw <= 1
    if number or (isinstance(raw, str) and reserve(raw) is not None):
        return raw
    raise ValueError


Bound = Annotated[float | str, BeforeValidator(_is_bound), accepts(ACCEPTED)]
BoundOrNone = Annotated[
    float | str | None,
    BeforeValidator(lambda raw: None if raw in (None, "none") else _is_bound(raw)),
    PlainSerializer(lambda bound: "none" if bound is None else bound),
    accepts(f"none, {ACCEPTED}"),
]
