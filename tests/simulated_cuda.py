"""A stand-in for a CUDA device, to find on any machine what would fail on one: tensors on different devices.

Every tensor stays in the CPU's memory. Those that a program puts on "cuda" are marked, and say that they are
there. As on a GPU, what is computed of marked tensors is marked, operations on marked and unmarked ones
together are errors, NumPy takes no marked one, generators belong to a device, and a copy to the host holds
garbage until it has been waited for. Speed, memory and rounding are the CPU's: nothing here is a measurement,
nor a proof that a GPU computes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
import torch._dynamo  # torch imports it at the first call of some functions, and it must meet no patch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

CARD, HOST = torch.device("cuda", 0), torch.device("cpu")
aten = torch.ops.aten
COPIES = {aten.copy_, aten._to_copy}
# A GPU's values can be asked for at positions that the host names.
AT_POSITIONS = {aten.index, aten.index_put, aten.index_put_, aten._unsafe_index, aten._index_put_impl_}
READS = ("tolist", "item", "__bool__", "__float__", "__int__", "__index__")
MOVES = {"to", "cpu", "cuda", "pin_memory", "numpy", "__array__"}
GARBAGE = 113
PURGED_FROM = 10_000  # marks, most of them of tensors that are no more

true_device = torch._C.TensorBase.device.__get__
true_empty, TrueAutocast, TrueGenerator = torch.empty, torch.autocast, torch.Generator


class Marks:
    """Which storages are on the card. Held weakly, so that no mark passes to what takes a storage's place."""

    def __init__(self) -> None:
        self._held: dict[int, StorageWeakRef] = {}

    def __contains__(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self._held

    def add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        self._held[storage._cdata] = StorageWeakRef(storage)
        if len(self._held) > PURGED_FROM:
            self._held = {key: held for key, held in self._held.items() if not held.expired()}


MARKS = Marks()  # one for all, for programs keep tensors from one call to the next


class Kernels(TorchDispatchMode):
    """Every kernel of a forward or backward pass: checks where its tensors are, marks what it gives."""

    fresh = False  # whether what is made of no tensor is on the card
    moved: bool | None = None  # while a tensor goes from one device to the other: whether to the card

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        given = tensors(args, kwargs)
        on_card = any(tensor in MARKS for tensor in given) if given else self.fresh
        if kwargs.get("device") is not None:
            on_card |= names_card(kwargs["device"])
            kwargs["device"] = HOST
        if self.moved is not None:
            on_card = self.moved
        elif func.overloadpacket not in COPIES:
            check_places(func, args, given)
        result = func(*args, **kwargs)
        known = {tensor.untyped_storage()._cdata for tensor in given}
        for made in tensors(result):
            if on_card and made.untyped_storage()._cdata not in known:
                MARKS.add(made)
        return result


def check_places(func: Any, args: Any, given: list[Tensor]) -> None:
    """A single number of the host may go along with the card's tensors, and no other tensor of the host."""
    if func.overloadpacket in AT_POSITIONS and args[0] in MARKS:
        given = tensors(args[0], args[2:])
    if any(tensor in MARKS for tensor in given) and any(t.ndim and t not in MARKS for t in given):
        raise RuntimeError(f"Expected all tensors to be on the same device, but {func} got cuda:0 and cpu")


class Coming:
    """Copies to the host that nobody has waited for yet; and the one stream, whose events wait for them."""

    def __init__(self) -> None:
        self._coming: list[tuple[Tensor, Tensor]] = []
        self._sent = 0

    def send(self, values: Tensor) -> Tensor:
        self._coming.append((values, values.clone()))
        self._sent += 1
        return values.fill_(GARBAGE if values.dtype != torch.bool else True)

    def synchronize(self, sent: int | None = None) -> None:
        """Let what was sent arrive, or the first `sent` of all."""
        count = len(self._coming) - (0 if sent is None else self._sent - sent)
        with torch.no_grad():
            for values, arrived in self._coming[: max(count, 0)]:
                values.copy_(arrived)
        del self._coming[: max(count, 0)]

    def record_event(self) -> SimpleNamespace:
        sent = self._sent
        return SimpleNamespace(synchronize=lambda: self.synchronize(sent))


class Calls(TorchFunctionMode):
    """Every call that names a device, or brings a tensor from one to another."""

    def __init__(self, kernels: Kernels, coming: Coming) -> None:
        super().__init__()
        self.kernels, self.coming = kernels, coming

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        if name in MOVES and args and isinstance(args[0], Tensor):
            return getattr(self, name.strip("_"))(*args, **kwargs)
        if name in READS and args[0] in MARKS:
            self.coming.synchronize()
        named, source = kwargs.get("device"), kwargs.get("generator")
        fresh = any(t in MARKS for t in tensors(args, kwargs)) if named is None else names_card(named)
        if named is not None:
            kwargs["device"] = HOST
        if source is not None and fresh != names_card(source.device):
            raise RuntimeError(f"Expected a generator of the tensor's device for {name}")
        with mock.patch.object(self.kernels, "fresh", fresh):
            result = func(*args, **kwargs)
        if isinstance(result, Tensor) and result not in MARKS:
            if named is not None and fresh:
                return self.brought(result, None, True)  # an array's memory, taken as it is
            if name in ("__deepcopy__", "new_tensor") and fresh:
                MARKS.add(result)  # copied by no kernel
        return result

    def to(self, own: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        copy = kwargs.pop("copy", False)
        if args and isinstance(args[0], Tensor):
            args = (args[0].device, args[0].dtype, *args[1:])
        device, dtype, non_blocking, layout = torch._C._nn._parse_to(*args, **kwargs)
        card = own in MARKS if device is None else names_card(device)
        more = {} if layout is None else {"memory_format": layout}
        if card == (own in MARKS):
            return own.to(dtype or own.dtype, copy=copy, **more)
        if card:
            return self.brought(own, dtype, True, **more)
        if non_blocking:
            return self.coming.send(self.brought(own, dtype, False, **more))
        self.coming.synchronize()
        return self.brought(own, dtype, False, **more)

    def brought(self, own: Tensor, dtype: torch.dtype | None, card: bool, **more: Any) -> Tensor:
        with mock.patch.object(self.kernels, "moved", card):
            return own.to(dtype or own.dtype, copy=True, **more)

    def cpu(self, own: Tensor) -> Tensor:
        return self.to(own, HOST)

    def cuda(self, own: Tensor, device: Any = None, non_blocking: bool = False) -> Tensor:
        return self.to(own, CARD)

    def pin_memory(self, own: Tensor) -> Tensor:
        if own in MARKS:
            raise RuntimeError("cannot pin 'torch.cuda.FloatTensor', only dense CPU tensors can be pinned")
        return own.clone()

    def numpy(self, own: Tensor, *args: Any, **kwargs: Any) -> Any:
        if own in MARKS:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
        return own.numpy(*args, **kwargs)

    def array(self, own: Tensor, *args: Any, **kwargs: Any) -> Any:
        return self.numpy(own).__array__(*args, **kwargs)


class Generator(TrueGenerator):
    """On the device that it is given; the numbers are those of a generator of the CPU."""

    device = HOST

    def __new__(cls, device: Any = HOST) -> Generator:
        return super().__new__(cls, HOST)

    def __init__(self, device: Any = HOST) -> None:
        self.device = CARD if names_card(device) else HOST


class Autocast(TrueAutocast):
    def __init__(self, device_type: str, *args: Any, **kwargs: Any) -> None:
        super().__init__("cpu" if device_type == "cuda" else device_type, *args, **kwargs)


def unpinned(*size: Any, pin_memory: bool = False, **kwargs: Any) -> Tensor:
    return true_empty(*size, **kwargs)


def tensors(*values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def names_card(device: Any) -> bool:
    return torch.device(device).type == "cuda"


def driver(coming: Coming) -> dict[str, Callable[..., object]]:
    """What torch.cuda says of one card whose random numbers, memory and waits are those of the stand-in."""
    return {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "get_device_name": lambda device=None: "simulated",
        "is_bf16_supported": lambda including_emulation=True: True,
        "current_stream": lambda device=None: coming,
        "synchronize": lambda device=None: coming.synchronize(),
        "mem_get_info": lambda device=None: (8 << 30, 8 << 30),
        "memory_allocated": lambda device=None: 0,
        "max_memory_allocated": lambda device=None: 0,
        "reset_peak_memory_stats": lambda device=None: None,
        "get_rng_state": lambda device=None: torch.zeros(16, dtype=torch.uint8),
        "set_rng_state": lambda state, device=None: None,
        "manual_seed": lambda seed: None,
        "_lazy_init": lambda: None,
    }


@contextmanager
def simulated_cuda() -> Iterator[None]:
    """While the body runs, in its thread: a machine with one card."""
    kernels, coming = Kernels(), Coming()
    place = property(lambda own: CARD if own in MARKS else true_device(own))
    with ExitStack() as patches:
        for name, stub in driver(coming).items():
            patches.enter_context(mock.patch.object(torch.cuda, name, stub))
        for name, stub in (("Generator", Generator), ("autocast", Autocast), ("empty", unpinned)):
            patches.enter_context(mock.patch.object(torch, name, stub))
        for name, of in (("device", place), ("is_cuda", property(lambda own: own in MARKS))):
            patches.enter_context(mock.patch.object(Tensor, name, of, create=True))
        patches.enter_context(Calls(kernels, coming))
        patches.enter_context(kernels)
        yield
