"""Checks that a model answers the same each time: nothing random, no part in train mode that acts otherwise.

Otherwise an example that fools one answer need not fool the next, and an attack that asks often enough always
succeeds.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from dualperturb.core.shown import Shown
from dualperturb.errors import UserError

TWICE = 4  # images that are shown twice
REPEATS = 1e-3  # relative difference of two answers that rounding alone may cause, as on a GPU

# The models that were shown images twice, and the modes they were in, so that each is tested only once.
_SHOWN_TWICE: WeakKeyDictionary[Any, tuple[bool, ...]] = WeakKeyDictionary()


def check_mode(model: object, name: str = "model") -> None:
    """Raise UserError if a part of the model is in train mode and acts otherwise in it: dropout makes each
    answer different; BatchNorm makes an answer depend on the other images, and changes with every call.

    Parts of any class count if their code asks whether they are in train mode. Of a function, the modules
    that it names are checked.
    """
    for place, module in _modules(model):
        if _trains(module) and _acts_otherwise(module):
            kind = getattr(module, "original_name", type(module).__name__)
            raise UserError(f"{name}: found {kind} {place!r} in train mode; call {name}.eval() first")


def warn_if_random(model: Shown, images: Tensor) -> None:
    """Print one line, once per model, if its answers to the same images (N, C, H, W) differ, or if answering
    changes it. Leaves torch's random state as it was. `draws_noise` marks models that are random on purpose.
    """
    subject: Any = model.model
    modes = tuple(_trains(module) for _, module in _modules(subject))
    if not len(images) or getattr(subject, "draws_noise", False) or _remembered(subject) == modes:
        return
    try:
        with torch.no_grad(), torch.random.fork_rng([images.device] if images.is_cuda else []):
            first, before = model(images[:TWICE]).clone(), _changes(subject)
            second = model(images[:TWICE])
    except Exception:  # the attack itself will meet it, unless the model only refuses so few images
        return
    apart, largest = (first - second).abs().max(), first.abs().max()
    if apart > REPEATS * largest:
        print(
            f"model: its logits for the same images differ between two calls by up to {float(apart):.2g} "
            f"(the largest is {float(largest):.2g}); a success may be chance",
            flush=True,
        )
    elif _changes(subject) != before:
        line = "model: every call changes it, so that a success need not last; is it in train mode?"
        print(line, flush=True)
    _remember(subject, modes)


def _modules(model: object) -> Iterator[tuple[str, nn.Module]]:
    """Every module of a model, or of what a function, method or object refers to, with its name."""
    if isinstance(model, nn.Module):
        yield from model.named_modules()
        return
    for held in _held(model):
        if isinstance(held, nn.Module):
            yield from held.named_modules()


def _held(model: object) -> list[object]:
    if isinstance(model, type) or not callable(model):
        return []
    if isinstance(model, partial):
        return [model.func, *_held(model.func), *model.args, *model.keywords.values()]
    owner = getattr(model, "__self__", None)  # a method's
    function = inspect.unwrap(getattr(model, "__func__", model))
    if not inspect.isfunction(function):
        return [owner, *vars(model).values()] if hasattr(model, "__dict__") else [owner]
    named = inspect.getclosurevars(function)
    return [owner, *named.nonlocals.values(), *named.globals.values()]


def _trains(module: nn.Module) -> bool:
    return getattr(module, "training", False)  # frozen TorchScript has no mode


def _acts_otherwise(module: nn.Module) -> bool:
    """Whether train mode changes what the module does: whether the code that it runs reads `training`."""
    if isinstance(module, _NormBase):
        return module.running_mean is not None
    if isinstance(module, _DropoutNd):
        return module.p > 0
    if isinstance(module, nn.MultiheadAttention | nn.RNNBase):
        return module.dropout > 0
    if isinstance(module, torch.jit.ScriptModule):
        # The source of a traced module tells nothing, but the name of its original class does.
        plain: Any = getattr(nn, module.original_name, nn.Identity)
        sources = [module._c._get_method(name).code for name in module._c._method_names()]
        return any("training" in source for source in sources) or _asks(plain.forward, plain)
    hooks = (*module._forward_pre_hooks.values(), *module._forward_hooks.values())
    runs = [getattr(module.forward, "__func__", module.forward)]
    runs += [hook if inspect.isfunction(hook) else type(hook).__call__ for hook in hooks]
    owner: Any = type(module)
    return any(_asks(run, owner) for run in runs)


@lru_cache(maxsize=1024)
def _asks(function: Callable[..., object], owner: Any) -> bool:
    """Whether the code of a function, or of the owner's methods that it names, reads `training`."""
    todo, seen = [function], set[object]()
    while todo:
        code = getattr(inspect.unwrap(todo.pop()), "__code__", None)
        if code is None or code in seen:
            continue
        seen.add(code)
        if "training" in code.co_names:
            return True
        todo += [method for name in code.co_names if inspect.isfunction(method := getattr(owner, name, None))]
    return False


def _changes(model: object) -> list[int]:
    """How often each of the model's buffers was changed so far, as torch counts it."""
    buffers = (buffer for _, module in _modules(model) for buffer in module.buffers(recurse=False))
    return [buffer._version for buffer in buffers if not buffer.is_inference()]


def _remembered(model: object) -> tuple[bool, ...] | None:
    try:
        return _SHOWN_TWICE.get(model)
    except TypeError:  # not every object can be looked up, nor referred to weakly
        return None


def _remember(model: object, modes: tuple[bool, ...]) -> None:
    try:
        _SHOWN_TWICE[model] = modes
    except TypeError:
        return
