"""The ranks of one run: each one's part of the work, sums over all, and the collection of what each found.

In a process on its own, nothing happens here: its part is the whole. The engine is Lightning Fabric, which
finds the ranks' places and devices and connects them (NCCL between GPUs, gloo between CPUs); it is imported
only where there are several. The files that all ranks read and rank 0 writes must be the same for all.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from dualperturb import launch
from dualperturb.errors import UserError
from dualperturb.launch import LostRankError

T = TypeVar("T")

# Ranks wait for each other's results, and one rank's images may take hours longer than another's. Fabric's
# default of half an hour would end such a run.
PATIENCE = timedelta(hours=12)


@contextmanager
def joined() -> Iterator[None]:
    """Connect this rank with the others while the body runs; its device is then the current one.

    Raises UserError where the engine is not installed or cannot make sense of how the ranks were started, and
    where there are more ranks than GPUs.
    """
    launch.end_with_launcher()
    _check_gpus()
    _connect()
    yield
    # Not in a `finally`: after an error the others may be in the middle of something, or gone.
    _barrier()
    dist.destroy_process_group()


def rank() -> int:
    """This rank's number, from 0; 0 for a process on its own."""
    return dist.get_rank() if _several() else 0


def size() -> int:
    """The number of ranks; 1 for a process on its own."""
    return dist.get_world_size() if _several() else 1


def part(count: int) -> tuple[slice, float]:
    """Which of `count` things, 1 or more, are this rank's, and their share of the whole.

    With fewer things than ranks, a rank that would have none works along on the first, at a share of 0.
    """
    first, last = (count * place // size() for place in (rank(), rank() + 1))
    return (slice(first, last), (last - first) / count) if last > first else (slice(0, 1), 0.0)


def mine(things: Sequence[T]) -> dict[int, T]:
    """This rank's things by their position: one in every `size()` things, possibly none."""
    return dict(list(enumerate(things))[rank() :: size()])


def gathered(found: dict[int, T]) -> list[T]:
    """What all ranks found, in the order of the positions; the same on each rank."""
    if _several():
        everyones: list[dict[int, T]] = [{}] * size()
        with _connection():
            dist.all_gather_object(everyones, found)
        found = {position: one for each in everyones for position, one in each.items()}
    return [found[position] for position in sorted(found)]


def total(values: Sequence[float], device: torch.device) -> list[float]:
    """The sum over the ranks of each value."""
    if not _several():
        return list(values)
    sums: list[float] = summed(torch.tensor(values, dtype=torch.float64, device=device)).tolist()
    return sums


def summed(values: Tensor) -> Tensor:
    """The sum over the ranks, in place: the same bits on each."""
    if _several():
        with _connection():
            dist.all_reduce(values)
    return values


def stacked(values: Tensor) -> Tensor:
    """(ranks, ...): the values of each rank."""
    everyones = [torch.empty_like(values) for _ in range(size())]
    with _connection():
        dist.all_gather(everyones, values)
    return torch.stack(everyones)


def sum_gradients(model: nn.Module) -> None:
    """Add up the gradients of all ranks, in one message however many parameters there are."""
    if not _several():
        return
    gradients = [own.grad for own in model.parameters() if own.grad is not None]
    flat = summed(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, summands in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(summands.view(gradient.shape))


def _several() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _check_gpus() -> None:
    gpus = torch.cuda.device_count()
    if gpus and launch.ranks_here() > gpus:
        raise UserError(
            f"ranks: found {launch.ranks_here()} processes on this machine (torchrun's --nproc-per-node, "
            f"srun's --ntasks-per-node); accepted: up to {gpus}, the GPUs that each of them sees"
        )


def _connect() -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _engine()
    except ImportError:
        raise UserError(
            "ranks: several processes need the extra distributed: pip install -e '.[distributed]'"
        ) from None
    except (RuntimeError, ValueError, KeyError) as error:
        raise LostRankError(
            f"ranks: the {launch.world_size()} ranks cannot be connected ({_short(error)})"
        ) from error


def _engine() -> None:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import KubeflowEnvironment, LightningEnvironment
    from lightning_fabric.strategies import DDPStrategy

    for name in ("lightning_fabric", "lightning_utilities"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # Fabric finds torchrun and SLURM by itself.
    found = dist.is_torchelastic_launched() or "RANK" not in os.environ
    own = LightningEnvironment if launch.launched_here() else KubeflowEnvironment
    fabric = Fabric(
        accelerator="cuda" if torch.cuda.is_available() else "cpu",
        devices=launch.ranks_here(),
        num_nodes=launch.world_size() // launch.ranks_here(),
        strategy=DDPStrategy(timeout=PATIENCE),
        plugins=None if found else [own()],
    )
    fabric.launch()


def _barrier() -> None:
    summed(torch.zeros(1, device="cuda" if dist.get_backend() == "nccl" else "cpu"))


@contextmanager
def _connection() -> Iterator[None]:
    """Say in one line that another rank is gone, where a collective raises an error, as gloo's do.

    NCCL's collectives only enqueue: the host waits for the device later, until the launcher or NCCL ends this
    rank.
    """
    try:
        yield
    except RuntimeError as error:
        raise LostRankError(
            f"rank {rank()} lost another rank ({_short(error)}); start the command again: training goes on "
            "from its last checkpoint, with any number of ranks"
        ) from error


def _short(error: Exception) -> str:
    """The first sentence, without the place in the engine's source that it may begin with."""
    text = " ".join(str(error).split())
    return re.sub(r"^\[\S*\] ", "", text).partition(". ")[0][:200]
