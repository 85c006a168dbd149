"""The reader of params.yaml: text to checked objects, or one line that says what is wrong in it."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from dualperturb.errors import UserError
from dualperturb.params.refusals import first_line
from dualperturb.params.whole import Params


def load_params(path: Path) -> Params:
    """Read and check a params.yaml. Raises UserError with one line for the first mistake found."""
    try:
        # As DVC reads it, in C where that is installed: what one of the two accepts, the other does.
        raw = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run from the top of the project") from None
    except (OSError, ValueError, RecursionError, YAMLError) as error:  # `!!int x` is a ValueError
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
