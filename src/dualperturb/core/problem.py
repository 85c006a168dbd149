"""The input of every attack, checked in one place: a classifier, images, labels, balls, random streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from dualperturb.core.balls import Ball, check_ball
from dualperturb.core.checks import check_classes, check_streams, in_range
from dualperturb.core.devices.precision import resolved
from dualperturb.core.gradient_copy import GradientCopy, gradient_copy_of
from dualperturb.core.seeds import image_seeds
from dualperturb.core.shown import Shown, checked
from dualperturb.core.steady import check_mode, warn_if_random


@dataclass(frozen=True)
class Problem:
    """logits_of: the classifier, on images of the type that was given; images: (N, C, H, W), float32 or
    wider; labels: int64 (N,); names: one number per image, which names its random stream."""

    logits_of: Shown
    images: Tensor
    labels: Tensor
    names: Sequence[int]
    seed: int

    def seeds(self, *salt: int, rows: Tensor | None = None) -> list[int]:
        """One seed per image, or only for the images at the positions `rows`; salt: see `image_seeds`."""
        names = self.names if rows is None else [self.names[row] for row in rows.tolist()]
        return image_seeds(self.seed, names, *salt)

    def only(self, rows: Tensor) -> Problem:
        """The same for the images at the positions `rows`."""
        names = [self.names[row] for row in rows.tolist()]
        return replace(self, images=self.images[rows], labels=self.labels[rows], names=names)

    def gradient_copy(self, precision: str) -> GradientCopy | None:
        """The copy that gradients are taken of; None where they are taken of the classifier itself.

        Raises UserError for an unknown precision.
        """
        resolved(precision, self.images.device)  # checked even where no copy is made
        sample = self.images[:1].to(self.logits_of.dtype)
        return gradient_copy_of(self.logits_of.model, precision, sample)


def posed(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    balls: Sequence[Ball] = (),
    *,
    seed: int = 0,
    indices: Sequence[int] | None = None,
    targets: Tensor | None = None,
) -> Problem:
    """The `Problem` of the arguments that all attacks share, which `pgd` describes.

    targets: int64 (N,), for a targeted attack. Prints one line for a model whose answers to the same images
    differ (see `steady`). Raises UserError for images outside [0, 1], for labels, targets, masks or indices
    that do not fit them or are on another device, and for a model in train mode.
    """
    names = list(range(len(images)) if indices is None else indices)
    check_mode(model)
    images = in_range(images)
    check_classes("labels", labels, images)
    if targets is not None:
        check_classes("targets", targets, images)
    for ball in balls:  # here, because a run sees only some images' masks and would not notice
        check_ball(ball, images)
    check_streams(len(images), seed, names)
    logits_of = checked(model, labels if targets is None else torch.maximum(labels, targets), images.dtype)
    warn_if_random(logits_of, images)
    wide = images.detach().to(torch.promote_types(images.dtype, torch.float32))
    return Problem(logits_of, wide, labels, names, seed)
