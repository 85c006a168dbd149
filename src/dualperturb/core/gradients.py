"""The gradient that an attack climbs."""

from __future__ import annotations

import torch
from torch import Tensor

from dualperturb.errors import UserError


def gradient_of(name: str, values: Tensor, images: Tensor) -> Tensor:
    """The gradient of each of the values (N,) with respect to its own image of (N, C, H, W).

    name: what gave the values, such as "model" or "saliency", for the message. Raises UserError if torch has
    recorded no way in which the values depend on the images.
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
