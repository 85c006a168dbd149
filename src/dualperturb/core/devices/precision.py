"""Ways to compute gradients: in float32 or bfloat16, compiled or not, whichever is fast on the hardware."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn

from dualperturb.errors import UserError

PRECISIONS = ("auto", "fp32", "bf16")
COMPILE = ("auto", "off")
# Measured on a CPU (benchmarks/README.md): a compiled ResNet-18 is slower, and with a small network the
# seconds of compiling outweigh the gain in shapes6's trainings.
COMPILED_ON = ("cuda",)
# The instructions that multiply bfloat16; a CPU without them only imitates it, slower than float32.
FAST_ON_CPU = ("avx512_bf16", "amx_bf16")


def resolved(precision: str, device: torch.device, model: nn.Module | None = None) -> str:
    """ "fp32" or "bf16": what `precision` means on `device`, for `model` if it is given.

    auto: bf16 where the device computes in it, but not for depthwise convolutions on a CPU, which are slower
    in bfloat16 (`python -m benchmarks.precision --network efficientnet_lite0`).

    Raises UserError for a name that is not among `PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise UserError(f"precision: found {precision!r}; accepted: {', '.join(PRECISIONS)}")
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if model is not None and any(map(_depthwise, model.modules())):
        return "fp32"
    # Some supported versions of torch have no get_capabilities: nothing is known there, and float32 is right.
    known: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return "bf16" if any(known.get(name) for name in FAST_ON_CPU) else "fp32"


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """Convolutions in float32, which cuDNN by default rounds to TF32; then the caller's setting returns."""
    # Not cudnn.flags(): it raises an error once the caller has used the settings named fp32_precision.
    convolutions = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    own = convolutions.fp32_precision
    if own != "tf32":
        yield
        return
    convolutions.fp32_precision = "ieee"
    try:
        yield
    finally:
        convolutions.fp32_precision = own


def _depthwise(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1


def compiles(compile: str, device: torch.device) -> bool:
    """Whether `compile` means to compile, for this device, a network that gives thousands of gradients.

    Raises UserError for a name that is not among `COMPILE`.
    """
    if compile not in COMPILE:
        raise UserError(f"compile: found {compile!r}; accepted: {', '.join(COMPILE)}")
    return compile == "auto" and device.type in COMPILED_ON


def mixed(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """Automatic mixed precision while a classifier runs: convolutions and products in bfloat16, if asked."""
    return torch.autocast(device.type, torch.bfloat16, enabled=resolved(precision, device) == "bf16")
