"""Foreground mask and foreground score of a log density."""

from __future__ import annotations

import torch
from torch import Tensor

from dualperturb.core.regions import ones_and_zeros
from dualperturb.errors import UserError

MASS_TOLERANCE = 0.05  # far above float16's rounding


def foreground_mask(log_density: Tensor, on: str = "log") -> Tensor:
    """The pixels above t = 0.5 (min + max) of each image's map: (N, H, W) -> bool (N, 1, H, W).

    `on` names the map that is thresholded: "log", the log density itself, or "density", its exponential.
    A constant map gives an empty mask. Raises UserError for any other `on` or another shape.
    """
    if on not in ("log", "density"):
        raise UserError(f"foreground_mask: on: found {on!r}, accepted are 'log' and 'density'")
    _check_density("foreground_mask", log_density)
    values = log_density.detach()
    if values.dtype in (torch.float16, torch.bfloat16):
        values = values.float()
    if on == "density":
        # The mask does not depend on the scale, and a maximum of 1 keeps exp from underflowing.
        values = (values - values.amax((1, 2), keepdim=True)).exp()
    threshold = 0.5 * (values.amin((1, 2), keepdim=True) + values.amax((1, 2), keepdim=True))
    return (values > threshold).unsqueeze(1)


def foreground_score(log_density: Tensor, foreground: Tensor) -> Tensor:
    """The density's mass on the foreground, S(x) in the paper: (N,) in [0, 1].

    `log_density` is (N, H, W) and sums to 1 after exp; `foreground` is bool (N, 1, H, W). Differentiable in
    `log_density`. Raises UserError for another shape or type of either.
    """
    _check_density("foreground_score", log_density)
    count, height, width = log_density.shape
    if foreground.shape != (count, 1, height, width) or foreground.dtype != torch.bool:
        raise UserError(
            f"foreground_score: foreground: found {foreground.dtype} {tuple(foreground.shape)}, "
            f"accepted is torch.bool {(count, 1, height, width)}"
        )
    density = log_density.exp()
    mass = (density * ones_and_zeros(foreground[:, 0], density.dtype)).sum((1, 2))
    # Rounding may carry a full mask just past 1; a clamp would stop the gradient there.
    return mass - (mass.detach() - 1).clamp(min=0)


def check_log_density(log_density: Tensor) -> None:
    """Raise UserError unless the first image's map, of (N, H, W), sums to 1 after exp: foreground scores of
    other maps would be wrong. One map is enough, as a model gives the same kind of map for all images."""
    _check_density("saliency model", log_density)
    mass = float(log_density[0].float().exp().sum()) if len(log_density) else 1.0
    if not abs(mass - 1) <= MASS_TOLERANCE:  # so that NaN fails, too
        raise UserError(
            f"saliency model: found a map that sums to {mass:.3g} after exp; accepted: a log density, which "
            "sums to 1, as log_softmax over an image's pixels gives it"
        )


def _check_density(name: str, log_density: Tensor) -> None:
    """Refuse other maps that a user's own saliency model may give, above all (N, 1, H, W)."""
    found = type(log_density).__name__
    if isinstance(log_density, Tensor):
        if log_density.ndim == 3 and log_density.is_floating_point():
            return
        found = f"{log_density.dtype} {tuple(log_density.shape)}"
    raise UserError(f"{name}: log_density: found {found}, accepted is a float tensor (N, H, W)")
