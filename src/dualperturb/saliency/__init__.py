"""Saliency models, which map images to log densities, and segmentation networks, which find masks.

The foreground mask and score of a log density can be had here, too. Stages, masks and training import it.
"""

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


# Name -> module and class, imported on demand, so that one model does not need the packages of another.
_MODELS = {
    "builtin": ("dualperturb.saliency.builtin", "BuiltinSaliency"),
    "center": ("dualperturb.saliency.center", "CenterSaliency"),
    "deepgaze": ("dualperturb.saliency.deepgaze", "DeepGazeSaliency"),
    "contrast": ("dualperturb.saliency.contrast", "ContrastSaliency"),
    "frequency_tuned": ("dualperturb.saliency.frequency_tuned", "FrequencyTunedSaliency"),
    "spectral_residual": ("dualperturb.saliency.spectral_residual", "SpectralResidualSaliency"),
    "onnx": ("dualperturb.saliency.onnx", "OnnxSaliency"),
}


def saliency_model(name: str, **options: Any) -> SaliencyModel:
    """The saliency model of that name; options: keyword arguments of its class.

    Raises UserError for an unknown name, and if something that the model needs cannot be had; TypeError for
    an option that the model does not take, and for a missing one.
    """
    if name not in _MODELS:
        raise UserError(f"saliency model: found {name!r}, accepted are {', '.join(sorted(_MODELS))}")
    module, kind = _MODELS[name]
    model: SaliencyModel = getattr(import_module(module), kind)(**options)
    return model
