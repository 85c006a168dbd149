"""Image to log density, and log density to foreground mask and foreground score."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

from torch import Tensor

from dualperturb.core.score import foreground_mask, foreground_score
from dualperturb.errors import UserError

__all__ = ["SaliencyModel", "foreground_mask", "foreground_score", "saliency_model"]


class SaliencyModel(Protocol):
    """Any callable that maps images (N, 3, H, W) in [0, 1] to a log density (N, H, W)."""

    def __call__(self, images: Tensor, /) -> Tensor: ...


# Name -> module and class, imported on demand: who takes one model depends on no other.
_MODELS = {
    "builtin": ("dualperturb.saliency.builtin", "BuiltinSaliency"),
    "center": ("dualperturb.saliency.center", "CenterSaliency"),
    "deepgaze": ("dualperturb.saliency.deepgaze", "DeepGazeSaliency"),
    "onnx": ("dualperturb.saliency.onnx", "OnnxSaliency"),
}


def saliency_model(name: str, **options: Any) -> SaliencyModel:
    """The saliency model of that name; options: keyword arguments of its class.

    Raises UserError for an unknown name, and if what the model needs cannot be had; TypeError for
    options that the model does not take or lacks.
    """
    if name not in _MODELS:
        raise UserError(f"saliency model: found {name!r}, accepted are {', '.join(sorted(_MODELS))}")
    module, kind = _MODELS[name]
    model: SaliencyModel = getattr(import_module(module), kind)(**options)
    return model
