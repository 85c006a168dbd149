"""A caller's model as attacks and measures call it: on a copy of the images, its answer reduced to logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dualperturb.errors import UserError


@dataclass(frozen=True)
class Shown:
    """Maps pixels (N, C, H, W) to the model's logits (N, classes), with gradients.

    The model is shown a copy in torch's usual layout, which it may change, as a forward that begins with
    `x.sub_(mean)` does. dtype: the type that the model sees; None: the pixels' own. classes: the smallest
    number of classes that is accepted. Raises UserError for an answer without logits or with ones that do not
    fit.
    """

    model: Callable[[Tensor], object]
    classes: int = 2  # a single logit would always be the largest
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
    """The model on pixels of `dtype`; checks that it gives a row of logits per image, a column per label."""
    return Shown(model, max(2, int(labels.max()) + 1 if len(labels) else 0), dtype)


def logits_in(answer: object) -> Tensor:
    """The logits in a model's answer: the answer itself, its `logits`, or the first of a tuple.

    Models of transformers give a mapping, those of torchvision with a second head a named tuple in train
    mode, and many of people's own one of these. Raises UserError for anything else.
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
    """Where another class than the label has the largest logit, bool (N,). Logits with NaN count for no
    class, whereas torch would take the first NaN for the largest."""
    return (logits.argmax(dim=1) != labels) & ~logits.isnan().any(dim=1)
