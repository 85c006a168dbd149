"""The saliency models that an attack climbs, checked before it begins."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dualperturb.core.balls import Ball, Dual
from dualperturb.core.checks import is_number
from dualperturb.core.objectives import Saliency
from dualperturb.core.score import check_log_density
from dualperturb.core.steady import check_mode
from dualperturb.errors import UserError


def climbed_models(
    ball: Ball,
    saliency: Saliency | Sequence[Saliency] | None,
    salience_weight: float,
    bound: object,
    salience_every: int,
) -> list[Saliency]:
    """The saliency models that are climbed; none where neither a weight nor a bound asks for one."""
    if not is_number(salience_weight) or not 0 <= salience_weight < float("inf"):
        raise UserError(f"salience_weight: expected a finite number of at least 0, got {salience_weight}")
    if not salience_weight and bound is None:
        return []
    asks = "salience_weight: a weight above 0" if bound is None else "min_foreground_score: a bound"
    if bound is not None and salience_every != 1:
        raise UserError(f"salience_every: found {salience_every}; accepted with min_foreground_score: 1")
    if salience_weight and bound is not None:
        raise UserError(f"{asks} takes the place of salience_weight: found {salience_weight}; accepted: 0")
    given = saliency if bound is not None and isinstance(saliency, list | tuple) else [saliency]
    if not given or None in given or not isinstance(ball, Dual):
        raise UserError(f"{asks} needs a saliency model and a Dual ball")
    models = [model for model in given if callable(model)]
    for model in given:
        if not callable(model):
            raise UserError(
                f"saliency: expected a saliency model, got {type(model).__name__}; "
                "saliency_model(name) makes one"
            )
    return models


@torch.no_grad()
def check_models(models: Sequence[Saliency], sample: Tensor) -> None:
    """Raise UserError unless each is in eval mode and gives a log density of the sample, (1, C, H, W)."""
    for model in models:
        check_mode(model, "saliency")
        check_log_density(model(sample.clone()))
