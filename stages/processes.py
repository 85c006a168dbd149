"""The processes of a stage: how many run its body, how they end after an error, how they keep memory."""

from __future__ import annotations

import ctypes
import signal
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from dualperturb import launch
from dualperturb.errors import UserError

if TYPE_CHECKING:
    from dualperturb.params.whole import Runtime


def on_ranks(body: Callable[[], None], runtime: Runtime) -> None:
    """Run the body by as many processes as `runtime` says, or by this one if it is a rank already.

    Raises UserError for several nodes without a launcher, and for more devices than there are.
    """
    if launch.world_size() > 1:
        _as_rank(body)
    elif runtime.nodes > 1:
        raise UserError(
            f"runtime.nodes: found {runtime.nodes}, but this is one process on its own; start the stage on "
            "each machine with torchrun or srun (docs/cluster.md)"
        )
    elif (count := _processes(runtime.devices)) > 1:
        launch.run_ranks(count)
    else:
        body()


def _as_rank(body: Callable[[], None]) -> None:
    """Run the body, connected with the other ranks; after an error end this process with `launch.leave`."""
    from dualperturb.core.devices.ranks import joined

    try:
        with joined():
            body()
    except (Exception, KeyboardInterrupt) as error:
        status = 1
        try:
            status = reported(error)
        finally:
            launch.leave(status)


def _processes(devices: int | str) -> int:
    import torch

    gpus = torch.cuda.device_count()
    if devices == "auto":
        return max(1, gpus)
    if gpus and int(devices) > gpus:
        raise UserError(f"runtime.devices: found {devices}; accepted: auto, or up to {gpus}, the GPUs here")
    return int(devices)


def reported(error: BaseException) -> int:
    """Print an error, a user's in one line, unless the launcher will print it; return the exit status."""
    if isinstance(error, launch.LostRankError) and launch.launched_here():
        return launch.LOST
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    if not isinstance(error, UserError | OSError):
        traceback.print_exception(error)
        return 1
    who = f"rank {launch.rank()}: " if launch.rank() else ""
    print(f"error: {who}{error}", file=sys.stderr)
    return 1


def keep_freed_memory() -> None:
    """Let glibc keep freed memory: its defaults cost small networks thousands of page faults per step."""
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # the names' values in malloc.h
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for option, size in ((mmap_threshold, 1 << 30), (trim_threshold, 1 << 30), (top_pad, 1 << 26)):
        mallopt(option, size)
