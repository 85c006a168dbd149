"""A classifier's copy for attacks: channels last, BatchNorm folded into convolutions, maybe in bfloat16.

It only shows an attack the way. What the attack found is judged by the classifier itself, so that a rounded
gradient may weaken an attack but never counts an image as fooled that is not.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn
from torch.fx.proxy import TraceError
from torch.nn.utils.fusion import fuse_conv_bn_weights

from dualperturb.core.devices.memory import out_of_memory
from dualperturb.core.devices.precision import exact_convolutions, mixed, resolved

# What tracing raises on networks whose path depends on the values or on the shape of their input.
UNTRACEABLE = (TraceError, TypeError, ValueError, RuntimeError, AttributeError, IndexError)
AGREEMENT = 1e-3  # of the folded copy's logits in float32, relative to the largest


def twin_of(model: nn.Module, precision: str, sample: Tensor) -> Twin | None:
    """The model's `Twin` in the number type that `precision` means; None for "fp32", the model itself."""
    chosen = resolved(precision, sample.device, model)
    return Twin(model, sample, chosen) if precision != "fp32" and len(sample) else None


class Twin(nn.Module):
    """Maps pixels (N, C, H, W) to the model's logits (N, classes), float32, rounded on the way.

    model: in eval mode, which folding needs; it is copied, not changed. sample: some of the images that it
    will see, (n, C, H, W): unless the copy with folded BatchNorm gives the model's logits there, the copy is
    made without folding, as it is for a network that cannot be traced. precision: "bf16", or "fp32" for the
    model's own function up to the order of its sums, only faster.
    """

    model: nn.Module

    def __init__(self, model: nn.Module, sample: Tensor, precision: str = "bf16") -> None:
        super().__init__()
        object.__setattr__(self, "model", model)  # no part of this module: its weights are not this one's
        self.precision = precision
        self._twin, self._pairs = _folded(model)
        self.refresh()
        if self._pairs and not _agree(self._twin, model, sample):
            self._twin, self._pairs = copy.deepcopy(model), []
        self._twin.requires_grad_(False).to(memory_format=torch.channels_last)
        for module in self._twin.modules():
            # Rounded once, not at every pass; normalisation layers stay as wide as they are.
            if precision == "bf16" and isinstance(module, nn.Conv2d | nn.Linear):
                module.to(torch.bfloat16)
        self._run: Callable[[Tensor], Tensor] = self._twin.__call__  # not a second name of the module itself
        self.train(model.training)

    def compile_for(self, images: Tensor) -> None:
        """Compile forward and backward pass for batches of the shape of `images`, (N, C, H, W), and no other.

        Where that fails, which one line tells, or where memory runs out, which is raised, everything stays as
        it was.
        """
        # An epoch's short last batch and the halves of a batch would each be compiled for, in the middle of
        # an attack: tens of seconds for a few passes.
        eager, compiled, shape = self._run, torch.compile(self._twin, dynamic=False), images.shape
        self._run = lambda seen: (compiled if seen.shape == shape else eager)(seen)
        try:
            seen = images.detach().requires_grad_(True)
            with torch.enable_grad():
                torch.autograd.grad(self(seen).sum(), seen)
        except Exception as error:  # compilers raise many types
            self._run = eager
            if out_of_memory(error):
                raise
            reason = " ".join(str(error).split())[:160]
            print(f"torch.compile failed ({reason}); attacks go on without it", flush=True)

    def forward(self, images: Tensor) -> Tensor:
        with mixed(self.precision, images.device):
            logits: Tensor = self._run(images.float().contiguous(memory_format=torch.channels_last))
        return logits.float()

    @torch.no_grad()
    def refresh(self) -> None:
        """Take the model's present weights."""
        source = dict(self.model.named_parameters()) | dict(self.model.named_buffers())
        modules = dict(self.model.named_modules())
        for conv, norm in self._pairs:
            source |= _fused(conv, modules[conv], modules[norm])
        for name, own in (*self._twin.named_parameters(), *self._twin.named_buffers()):
            if name in source:
                own.copy_(source[name])


def _folded(model: nn.Module) -> tuple[nn.Module, list[tuple[str, str]]]:
    """A copy that leaves out each BatchNorm right behind a convolution, and the names of those pairs."""
    try:
        traced = copy.deepcopy(fx.symbolic_trace(model))
    except UNTRACEABLE:
        return copy.deepcopy(model), []
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


def _fused(name: str, conv: nn.Module, norm: nn.Module) -> dict[str, Tensor]:
    """Weight and bias of a convolution that also does what the BatchNorm behind it does."""
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    return {f"{name}.weight": weight, f"{name}.bias": bias}


@torch.no_grad()
def _agree(twin: nn.Module, model: nn.Module, sample: Tensor) -> bool:
    with exact_convolutions():  # in TF32 a faithful copy of a trained classifier would be refused
        wanted = model(sample.to(next(model.parameters()).dtype))
        found = twin(sample)
    return bool(((found - wanted).abs() <= AGREEMENT * wanted.abs().amax().clamp_min(1)).all())
