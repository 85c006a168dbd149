"""Checks of every attack's arguments: each raises UserError with one line that names the argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from operator import index

import torch
from torch import Tensor

from dualperturb.errors import UserError

# How far float32's rounding may carry a pixel past 0 or 1, as resizing with antialiasing does. Numbers of
# float32 near 1 are 1.2e-7 apart; one level of an 8-bit pixel is 4e-3.
ROUNDING = 1e-6


def in_range(images: Tensor) -> Tensor:
    """Float images (N, C, H, W) with every pixel in [0, 1]: clipped where rounding has carried one past it.

    Raises UserError for anything else.
    """
    if not isinstance(images, Tensor):
        raise UserError(f"images: expected a float tensor (N, C, H, W), got {type(images).__name__}")
    if images.ndim != 4 or not images.is_floating_point():
        raise UserError(f"images: expected float (N, C, H, W), got {images.dtype} {tuple(images.shape)}")
    if not images.numel():
        return images
    low, high = (float(bound) for bound in images.detach().aminmax())
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # so that NaN fails, too
        raise UserError(f"images: expected pixels in [0, 1], got values from {low:.7g} to {high:.7g}")
    return images if low >= 0 and high <= 1 else images.clamp(0, 1)


def check_place(name: str, values: Tensor, images: Tensor) -> None:
    """Check that the values are on the device of the images."""
    if values.device != images.device:
        raise UserError(f"{name}: expected on {images.device}, as the images are, got on {values.device}")


def check_classes(name: str, classes: Tensor, images: Tensor) -> None:
    """Check labels or targets: int64 (N,) from 0, one for each of the images."""
    count = len(images)
    if not isinstance(classes, Tensor):
        raise UserError(f"{name}: expected an int64 tensor ({count},), got {type(classes).__name__}")
    if classes.shape != (count,) or classes.dtype != torch.int64:
        raise UserError(f"{name}: expected int64 ({count},), got {classes.dtype} {tuple(classes.shape)}")
    check_place(name, classes, images)
    if classes.numel() and classes.min() < 0:
        raise UserError(f"{name}: expected classes from 0, got {int(classes.min())}")


def check_counts(counts: Mapping[str, int]) -> None:
    """Check that every count, given by its name, is a whole number of at least 1."""
    for name, value in counts.items():
        if not is_whole(value) or value < 1:
            raise UserError(f"{name}: expected a whole number of at least 1, got {value}")


def check_step_size(step_size: float) -> None:
    """Check that it is a share of each radius, above 0 and finite."""
    if not is_number(step_size) or not 0 < step_size < float("inf"):
        raise UserError(f"step_size: expected a positive share of the radius, got {step_size}")


def is_number(value: object) -> bool:
    """Whether comparing it with numbers makes sense: a number of Python, of NumPy or in a tensor."""
    return isinstance(value, Real) or (isinstance(value, Tensor) and value.numel() == 1)


def is_whole(value: object) -> bool:
    """Whether it can name a position: an integer of Python, of NumPy or in a tensor."""
    try:
        index(value)  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


def check_streams(count: int, seed: int, indices: Sequence[int]) -> None:
    """Check that there is one index per image and that neither the indices nor the seed are negative."""
    if len(indices) != count:
        raise UserError(f"indices: expected one for each of {count} images, got {len(indices)}")
    for name, values in (("seed", [seed]), ("indices", indices)):
        for value in values:
            if not is_whole(value) or value < 0:
                raise UserError(f"{name}: expected whole numbers from 0, got {value}")
