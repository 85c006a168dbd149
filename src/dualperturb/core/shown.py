"""A caller's model as attacks and measures call it: it is shown a copy, and its logits are taken out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dualperturb.errors import UserError


@dataclass(frozen=True)
class Shown:
    """Maps pixels (N, C, H, W) to the model's logits (N, classes), with gradients.

    What the model is shown is its own to change, as a forward that begins `x.sub_(mean)` does: a copy, in
    torch's usual layout. dtype: the type that the model sees; None: the pixels' own. classes: the fewest that
    there must be. Raises UserError for an answer that holds no logits, or none that fit.
    """

    model: Callable[[Tensor], object]
    classes: int = 2  # one is always the largest
    dtype: torch.dtype | None = None

    def __call__(self, images: Tensor) -> Tensor:
        copied = images.to(self.dtype or images.dtype, copy=True, memory_format=torch.contiguous_format)
        logits = logits_in(self.model(copied))
        if logits.ndim != 2 or logits.shape[0] != len(images) or logits.shape[1] < self.classes:
            raise UserError(
                f"labels: expected logits for {len(images)} images and at least {self.classes} classes, "
                f"the model gave {tuple(logits.shape)}"
            )
        if not logits.is_floating_point() or logits.device != images.device:
            raise UserError(
                f"model: expected logits in float on {images.device}, as the images are, "
                f"it gave {logits.dtype} on {logits.device}"
            )
        return logits


def shown(model: Callable[[Tensor], object]) -> Shown:
    """The model as `Shown`, which it may be already."""
    return model if isinstance(model, Shown) else Shown(model)


def checked(model: Callable[[Tensor], object], labels: Tensor, dtype: torch.dtype) -> Shown:
    """The model on pixels of `dtype`; checks that it gives a row of logits an image, a column a label."""
    return Shown(model, max(2, int(labels.max()) + 1 if len(labels) else 0), dtype)


def logits_in(answer: object) -> Tensor:
    """The logits in what a model answers: the answer itself, its `logits`, or the first of a tuple.

    So answer transformers' models (a mapping), torchvision's with a second head in train mode (a named
    tuple), and many of people's own. Raises UserError for anything else.
    """
    found = answer
    if isinstance(answer, Mapping):
        found = answer.get("logits")
    elif not isinstance(answer, Tensor):
        first = answer[0] if isinstance(answer, tuple | list) and answer else None
        found = getattr(answer, "logits", first)
    if isinstance(found, Tensor):
        return found
    raise UserError(
        f"model: expected a tensor of logits (N, classes), or a mapping, tuple or object that holds one as "
        f"`logits` or first, it gave {type(answer).__name__}"
    )


def misclassified(logits: Tensor, labels: Tensor) -> Tensor:
    """Where another class than the label has the largest logit, bool (N,). Logits that are NaN tell of no
    class: torch would take the first of them for the largest."""
    return (logits.argmax(dim=1) != labels) & ~logits.isnan().any(dim=1)
