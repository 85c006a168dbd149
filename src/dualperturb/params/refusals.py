"""Errors of values in params.yaml, and the line that says which key is wrong and what is accepted."""

from __future__ import annotations

from typing import LiteralString, cast

from pydantic import ValidationError
from pydantic_core import PydanticCustomError


def wrong_key(key: str, text: str) -> PydanticCustomError:
    """The error of one key of a section: to be raised where the whole section is checked."""
    return PydanticCustomError("key", cast(LiteralString, text), {"key": key})


def refusal(accepted: str) -> PydanticCustomError:
    """The error of a value, of which `first_line` tells that it was found."""
    return PydanticCustomError("accepted", cast(LiteralString, accepted))


def first_line(error: ValidationError) -> str:
    """One line for the first error: key, what was found, what is accepted."""
    key, text = first_fault(error)
    return f"{key}: {text}" if key else text


def first_fault(error: ValidationError) -> tuple[str, str]:
    """The key of the first error, empty for one of the whole, and the rest of its line."""
    first = error.errors(include_url=False)[0]
    kind, context = first["type"], first.get("ctx", {})
    parts = [*first["loc"], *filter(None, [context["key"]])] if kind == "key" else first["loc"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")
    text = first["msg"]
    if kind in ("key", "value_error"):
        return key, text.removeprefix("Value error, ")
    if kind == "literal_error":
        text = str(context["expected"]).replace("'", "")
    return key, f"found {shown(first['input'])}; accepted: {text}"


def shown(value: object) -> str:
    """A value as YAML writes it, cut to 60 characters, with a hint where a number was read as text."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    text = text if len(text) <= 60 else text[:59] + "…"
    return f"{text} (a number written as text)" if _is_text_number(value) else text


def _is_text_number(value: object) -> bool:
    try:
        return isinstance(value, str) and float(value) is not None
    except ValueError:
        return False
