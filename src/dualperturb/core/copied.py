"""Networks of classifiers' copies: BatchNorm folded into convolutions, maybe in bfloat16; their weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dualperturb.core.devices.memory import out_of_memory
from dualperturb.core.devices.precision import exact_convolutions
from dualperturb.core.folding import folded, fused
from dualperturb.core.shown import logits_in

# How far a copy's logits may lie from the classifier's, relative to the largest. A copy in bfloat16 is a few
# hundredths off; beyond, it is another function.
AGREEMENT = {"fp32": 1e-3, "bf16": 0.25}


def copied(
    model: nn.Module, sample: Tensor, wanted: Tensor, precision: str
) -> tuple[nn.Module, list[tuple[str, str]]]:
    """A copy without gradients of its weights, and the names of the convolutions and BatchNorms folded.

    None are folded where the network cannot be traced, or where the folded copy does not give the model's
    logits, `wanted`, on the sample. Raises what copying the network raises, which is of many types.
    """
    pairs: list[tuple[str, str]] = []
    try:
        network, pairs = folded(model)
        take_weights(network, model, pairs)
        with torch.no_grad(), exact_convolutions():
            faithful = bool(pairs) and agree(logits_in(network(sample.clone())), wanted, "fp32")
    except Exception as error:  # torch.fx and the networks that it traces raise many types
        if out_of_memory(error):
            raise
        faithful = False
    if not faithful:
        network, pairs = copy.deepcopy(model), []
    # float32 even where the model is wider or narrower, because its user gives it float32 pixels.
    network.float()
    for weights in network.parameters():
        weights.requires_grad_(False)
    for module in network.modules():
        # Weights are rounded once, not at every pass; normalisation layers stay as wide as they are.
        if precision == "bf16" and isinstance(module, nn.Conv2d | nn.Linear):
            module.to(torch.bfloat16)
    return network, pairs


@torch.no_grad()
def take_weights(network: nn.Module, model: nn.Module, pairs: Sequence[tuple[str, str]]) -> None:
    """Give a copy the model's present weights; pairs: those folded in it."""
    source = dict(model.named_parameters()) | dict(model.named_buffers())
    modules = dict(model.named_modules())
    for conv, norm in pairs:
        source |= fused(conv, modules[conv], modules[norm])
    for name, own in (*network.named_parameters(), *network.named_buffers()):
        if name in source:
            own.copy_(source[name])


def agree(found: Tensor, wanted: Tensor, precision: str) -> bool:
    """Whether a copy's logits (n, classes) are near enough to the classifier's."""
    close = (found - wanted).abs() <= AGREEMENT[precision] * wanted.abs().amax().clamp_min(1)
    return bool(close.all())
