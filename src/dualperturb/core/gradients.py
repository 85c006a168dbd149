"""The gradient that an attack climbs."""

from __future__ import annotations

import torch
from torch import Tensor

from dualperturb.errors import UserError


def gradient_of(name: str, values: Tensor, images: Tensor) -> Tensor:
    """The gradient of the values (N,) with respect to the images (N, C, H, W), each with its own image alone.

    name: "model" or "saliency", which gave the values. Raises UserError if they do not depend on the images
    in a way that torch has followed.
    """
    found: tuple[Tensor | None, ...] = (None,)
    if values.requires_grad:
        found = torch.autograd.grad(values.sum(), images, allow_unused=True)
    (gradient,) = found
    if gradient is None:
        raise UserError(
            f"{name}: found no gradient with respect to the images; accepted: what is differentiable, "
            "without torch.no_grad or detach, in an attack outside torch.inference_mode"
        )
    return gradient
