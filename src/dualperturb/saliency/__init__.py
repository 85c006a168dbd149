"""Image to log density, and log density to foreground mask and foreground score."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from dualperturb.errors import UserError
from dualperturb.saliency.builtin import BuiltinSaliency
from dualperturb.saliency.score import foreground_mask, foreground_score

__all__ = ["BuiltinSaliency", "SaliencyModel", "foreground_mask", "foreground_score", "saliency_model"]


class SaliencyModel(Protocol):
    """Any callable that maps images (N, 3, H, W) in [0, 1] to a log density (N, H, W)."""

    def __call__(self, images: Tensor, /) -> Tensor: ...


_MODELS: dict[str, Callable[[], SaliencyModel]] = {"builtin": BuiltinSaliency}


def saliency_model(name: str) -> SaliencyModel:
    """The saliency model of that name; an unknown name raises UserError."""
    if name not in _MODELS:
        raise UserError(f"saliency model: found {name!r}, accepted are {', '.join(sorted(_MODELS))}")
    return _MODELS[name]()
