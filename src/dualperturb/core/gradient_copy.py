"""A classifier's copy for attacks: channels last, and the ways that are left where a copy fails.

The copy only gives an attack its gradients. The classifier itself judges what the attack found, so that a
rounded gradient may weaken an attack but never makes an image count as fooled that is not. A network that
works as it is need not work as a copy: where making the copy or a pass of it fails, the copy goes on with
channels first, and where that fails, too, the classifier itself takes its place.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from dualperturb.core.copied import agree, copied, take_weights
from dualperturb.core.devices.memory import out_of_memory, told
from dualperturb.core.devices.precision import exact_convolutions, mixed, resolved
from dualperturb.core.gradients import gradient_of
from dualperturb.core.shown import Shown, logits_in

_TOLD: WeakKeyDictionary[nn.Module, set[str]] = WeakKeyDictionary()  # each line once per model


def gradient_copy_of(
    model: Callable[[Tensor], object], precision: str, sample: Tensor
) -> GradientCopy | None:
    """The model's `GradientCopy` in the number type that `precision` means.

    None where gradients are to be taken of the model itself: for "fp32", for a function, which cannot be
    copied, and where no copy works.
    """
    if precision == "fp32" or not len(sample) or not isinstance(model, nn.Module):
        return None
    made = GradientCopy(model, sample, resolved(precision, sample.device, model))
    return made if made.works else None


class GradientCopy(nn.Module):
    """Maps pixels (N, C, H, W) to the model's logits (N, classes), float32, rounded on the way.

    model: in eval mode, which folding needs; it is copied, not changed. sample: one or a few of the images
    that it will see, (n, C, H, W), in the type that it sees. BatchNorm is not folded where the network cannot
    be traced, or where the folded copy does not give the model's logits on the sample. There is no copy
    unless one works on the sample, forward and backward. precision: "bf16", or "fp32" for the model's own
    function up to the order of its sums, only faster.
    """

    model: nn.Module
    _run: Callable[[Tensor], object]

    def __init__(self, model: nn.Module, sample: Tensor, precision: str = "bf16") -> None:
        super().__init__()
        object.__setattr__(self, "model", model)  # not a submodule: its weights are not this module's
        self.precision = precision
        self._itself = Shown(model, dtype=sample.dtype)
        self._layout: torch.memory_format | None = torch.channels_last
        self._pairs: list[tuple[str, str]] = []
        # Whatever a network draws in these passes, the caller's random numbers stay as they are.
        with torch.random.fork_rng([sample.device] if sample.is_cuda else []):
            self._settle(sample)
        self.training = getattr(model, "training", False)  # its parts have modes of their own

    @property
    def works(self) -> bool:
        """Whether there is a copy; otherwise the model itself answers."""
        return self._layout is not None

    def compile_for(self, images: Tensor) -> None:
        """Compile forward and backward pass for batches of the shape of `images`, (N, C, H, W), and no other.

        If that fails, one line says so; if memory runs out, the error is raised. In both cases everything
        stays as it was.
        """
        if not self.works:
            return
        # Not for other shapes: compiling for an epoch's short last batch or for half a batch would take tens
        # of seconds in the middle of an attack, for a few passes.
        eager, shape = self._run, images.shape
        try:
            compiled = torch.compile(self._network, dynamic=False)
            self._run = lambda seen: (compiled if seen.shape == shape else eager)(seen)
            seen = images.detach().requires_grad_(True)
            with torch.enable_grad():
                torch.autograd.grad(self._copied(seen).sum(), seen)
        except Exception as error:  # compilers raise many types
            self._run = eager
            if out_of_memory(error):
                raise
            print(f"torch.compile failed ({told(error)}); attacks go on without it", flush=True)

    def forward(self, images: Tensor) -> Tensor:
        failed = None  # as words, because an error holds the tensors of its pass
        while True:
            try:
                logits = self._copied(images) if self.works else self._itself(images).float()
            except Exception as error:  # networks raise many types
                if not self._next(error):
                    raise
                failed = failed or told(error)
            else:
                self._tell(failed)
                return logits

    def gives_way(self, error: Exception) -> bool:
        """Whether another way is left after an error in a pass; if so, take it and print one line.

        False after memory ran out, which smaller batches may cure.
        """
        if not self._next(error):
            return False
        self._tell(told(error))
        return True

    def refresh(self) -> None:
        """Take the model's present weights."""
        if not self.works:
            return
        try:
            take_weights(self._network, self.model, self._pairs)
        except Exception as error:  # as in making the copy
            if not self.gives_way(error):
                raise
            self.refresh()

    def _settle(self, sample: Tensor) -> None:
        """Take the first way that works on the sample.

        The model itself may fail on the sample, too, where it wants another number of images.
        """
        failed, wanted = None, None
        while self.works:
            try:
                if wanted is None:
                    with torch.no_grad(), exact_convolutions():  # in TF32 a faithful copy would be refused
                        wanted = self._itself(sample).float()
                    self._make(sample, wanted)
                self._try(sample, wanted)
                break
            except Exception as error:  # networks, and what copies and traces them, raise many types
                if not self._next(error):
                    raise
                failed = failed or told(error)
        self._tell(failed)

    def _make(self, sample: Tensor, wanted: Tensor) -> None:
        self._network, self._pairs = copied(self.model, sample, wanted, self.precision)
        self._arrange(torch.channels_last)

    def _try(self, sample: Tensor, wanted: Tensor) -> None:
        pixels = sample.detach().requires_grad_(True)
        with torch.enable_grad(), exact_convolutions():
            logits = self._copied(pixels)
            if not agree(logits.detach(), wanted, self.precision):
                raise ValueError("its logits are others than the classifier's")
            gradient_of("copy", logits.sum(dim=1), pixels)

    def _copied(self, images: Tensor) -> Tensor:
        with mixed(self.precision, images.device):
            answer = self._run(images.float().clone(memory_format=self._layout or torch.preserve_format))
        return logits_in(answer).float()

    def _next(self, error: Exception) -> bool:
        if not self.works or out_of_memory(error):
            return False
        made, last = hasattr(self, "_run"), self._layout == torch.channels_last
        self._layout = None
        if made and last:
            with contextlib.suppress(Exception):
                self._arrange(torch.contiguous_format)
        return True

    def _arrange(self, layout: torch.memory_format) -> None:
        self._run = self._network.__call__  # not the module, which would be registered twice
        self._network.to(memory_format=layout)
        self._layout = layout

    def _tell(self, failed: str | None) -> None:
        ways = _TOLD.setdefault(self.model, set())
        way = "channels first" if self.works else "of the classifier itself"
        if failed is not None and way not in ways:
            ways.add(way)
            print(f"the classifier's copy failed ({failed}); gradients are taken {way}", flush=True)
