"""What every attack asks of its arguments: each raises UserError with one line that names the argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from operator import index

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dualperturb.errors import UserError


def check_images(images: Tensor) -> None:
    """Float (N, C, H, W) with pixels in [0, 1]."""
    if not isinstance(images, Tensor):
        raise UserError(f"images: expected a float tensor (N, C, H, W), got {type(images).__name__}")
    if images.ndim != 4 or not images.is_floating_point():
        raise UserError(f"images: expected float (N, C, H, W), got {images.dtype} {tuple(images.shape)}")
    if images.numel() and not (images.min() >= 0 and images.max() <= 1):
        low, high = float(images.min()), float(images.max())
        raise UserError(f"images: expected pixels in [0, 1], got values from {low:.4g} to {high:.4g}")


def check_place(name: str, values: Tensor, images: Tensor) -> None:
    """On the device of the images."""
    if values.device != images.device:
        raise UserError(f"{name}: expected on {images.device}, as the images are, got on {values.device}")


def check_classes(name: str, classes: Tensor, images: Tensor) -> None:
    """int64 (N,) from 0, one for each of the images: labels or targets."""
    count = len(images)
    if not isinstance(classes, Tensor):
        raise UserError(f"{name}: expected an int64 tensor ({count},), got {type(classes).__name__}")
    if classes.shape != (count,) or classes.dtype != torch.int64:
        raise UserError(f"{name}: expected int64 ({count},), got {classes.dtype} {tuple(classes.shape)}")
    check_place(name, classes, images)
    if classes.numel() and classes.min() < 0:
        raise UserError(f"{name}: expected classes from 0, got {int(classes.min())}")


def check_mode(model: object, name: str = "model") -> None:
    """No BatchNorm in train mode: it would let the images of a batch tell on each other's logits, and keep a
    trace of every pass in its statistics."""
    if not isinstance(model, nn.Module):
        return
    for place, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.training and module.running_mean is not None:
            raise UserError(f"{name}: found BatchNorm {place!r} in train mode; call {name}.eval() first")


def check_counts(counts: Mapping[str, int]) -> None:
    """Every count, by its name, is a whole number of at least 1."""
    for name, value in counts.items():
        if not is_whole(value) or value < 1:
            raise UserError(f"{name}: expected a whole number of at least 1, got {value}")


def check_step_size(step_size: float) -> None:
    """A share of each radius, above 0 and finite."""
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
    """One index an image; neither they nor the seed are negative."""
    if len(indices) != count:
        raise UserError(f"indices: expected one for each of {count} images, got {len(indices)}")
    for name, values in (("seed", [seed]), ("indices", indices)):
        for value in values:
            if not is_whole(value) or value < 0:
                raise UserError(f"{name}: expected whole numbers from 0, got {value}")


def check_logits(logits: Tensor, count: int, classes: int) -> None:
    """A tensor with one row an image and at least `classes` columns, and two: one is always the largest."""
    classes = max(classes, 2)
    if not isinstance(logits, Tensor):
        raise UserError(f"model: expected a tensor of logits (N, classes), it gave {type(logits).__name__}")
    if logits.ndim != 2 or logits.shape[0] != count or logits.shape[1] < classes:
        raise UserError(
            f"labels: expected logits for {count} images and at least {classes} classes, "
            f"the model gave {tuple(logits.shape)}"
        )
