"""BatchNorm over all ranks: a network trained on parts of a batch learns as it would from the whole.

PyTorch's own SyncBatchNorm needs GPUs and other modules; here BatchNorm's modules stay what they are, so that
checkpoints fit any number of ranks, and only their pass in training mode differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from dualperturb.core.devices import ranks


@contextmanager
def sync_batch_norm(model: nn.Module, counts: bool) -> Iterator[None]:
    """While the body runs, BatchNorm in training mode takes its statistics over the images of all ranks.

    counts: whether this rank's images are among them; if not, they are only normalised. The gradients of
    weight and bias are those of this rank's images, to be summed like every other. A process on its own keeps
    PyTorch's own BatchNorm.
    """
    modules = model.modules() if ranks.size() > 1 else ()
    norms = [module for module in modules if isinstance(module, _BatchNorm)]
    for module in norms:
        # Set on the instance, and only during the pass, because copies of the model would keep it.
        module.forward = partial(_forward, module, counts)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in norms:
            del module.forward


def _forward(module: _BatchNorm, counts: bool, values: Tensor) -> Tensor:
    if not module.training:
        return type(module).forward(module, values)
    normalised, mean, variance, count = _SyncBatchNorm.apply(
        values, module.weight, module.bias, module.eps, counts
    )
    if module.running_mean is not None and module.running_var is not None:
        assert module.num_batches_tracked is not None
        module.num_batches_tracked.add_(1)
        share = module.momentum
        if share is None:
            share = 1 / float(module.num_batches_tracked)
        unbiased = variance * (count / (count - 1))
        module.running_mean.lerp_(mean.to(module.running_mean.dtype), share)
        module.running_var.lerp_(unbiased.to(module.running_var.dtype), share)
    return normalised


class _SyncBatchNorm(torch.autograd.Function):
    """Ioffe & Szegedy 2015, with sums taken over the ranks: one message forward and one backward."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, counts: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """values (N, C, ...) -> normalised in the same type; over all ranks mean and variance (C,), count."""
        wide, axes, shape = values.float(), [0, *range(2, values.dim())], (1, -1, *[1] * (values.dim() - 2))
        variance, mean = torch.var_mean(wide, axes, correction=0)
        own = torch.full_like(mean, wide.numel() // wide.shape[1] if counts else 0)
        counted, means, variances = ranks.stacked(torch.stack([own, mean, variance])).unbind(1)
        # The deviations of each rank's values from its own mean, and of that mean from the mean of all.
        count = counted.sum(0)
        mean = (counted * means).sum(0) / count
        variance = (counted * (variances + (means - mean).square())).sum(0) / count
        scale = (variance + eps).rsqrt()
        ctx.save_for_backward(values, weight, mean, scale, count)
        ctx.axes, ctx.shape, ctx.counts = axes, shape, counts
        normalised = (wide - mean.view(shape)) * scale.view(shape)
        if weight is not None and bias is not None:
            normalised = normalised * weight.view(shape) + bias.view(shape)
        ctx.mark_non_differentiable(mean, variance, count)
        return normalised.to(values.dtype), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """Images that do not count add no loss and moved no statistics, which are constants for them."""
        values, weight, mean, scale, count = ctx.saved_tensors
        wide, shape = gradient.float(), ctx.shape
        normalised = (values.float() - mean.view(shape)) * scale.view(shape)
        own = torch.stack([wide.sum(ctx.axes), (wide * normalised).sum(ctx.axes)])
        plain, along = (ranks.summed(own.clone()) / count).unbind()
        inner = wide - plain.view(shape) - normalised * along.view(shape) if ctx.counts else wide
        outer = scale if weight is None else scale * weight
        bias_gradient, weight_gradient = own if weight is not None else (None, None)
        return (inner * outer.view(shape)).to(values.dtype), weight_gradient, bias_gradient, None, None
