"""BatchNorm folded into the convolution before it, where a network in eval mode can be traced."""

from __future__ import annotations

import copy
from collections import Counter

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights


def folded(model: nn.Module) -> tuple[nn.Module, list[tuple[str, str]]]:
    """A copy that leaves out each BatchNorm right behind a convolution, and the names of those pairs.

    Raises what tracing raises, which is of many types: a network's path may depend on its input's values or
    shape.
    """
    # A copy is traced, because a traced forward may leave tracing objects in its module.
    traced = fx.symbolic_trace(copy.deepcopy(model))
    modules = dict(traced.named_modules())
    uses = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    pairs = []
    for node in list(traced.graph.nodes):
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        conv, norm = modules[str(before.target)], modules[str(node.target)]
        if _foldable(conv, norm) and uses[before.target] == 1:
            conv.bias = nn.Parameter(torch.zeros_like(norm.running_mean))
            node.replace_all_uses_with(before)
            traced.graph.erase_node(node)
            pairs.append((str(before.target), str(node.target)))
    traced.recompile()
    return traced, pairs


def _foldable(conv: nn.Module, norm: nn.Module) -> bool:
    if type(conv) is not nn.Conv2d or type(norm) is not nn.BatchNorm2d:
        return False
    return not norm.training and norm.running_mean is not None


def fused(name: str, conv: nn.Module, norm: nn.Module) -> dict[str, Tensor]:
    """Weight and bias of a convolution that also does what the BatchNorm behind it does."""
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    return {f"{name}.weight": weight, f"{name}.bias": bias}
