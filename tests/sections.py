"""Parameters in which one data set's section asks for something else."""

from __future__ import annotations

from typing import Any

from dualperturb.params import Params


def with_section(params: Params, dataset: str, section: str, **changes: Any) -> Params:
    whole = params.of(dataset)
    part = getattr(whole, section).model_copy(update=changes)
    return params.model_copy(update={dataset: whole.model_copy(update={section: part})})
