"""The processes of a stage: how many run its body, and how they end after an error."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
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


def gpu_files() -> bool:
    """Whether there are the files of a GPU's driver: asking torch would take seconds."""
    named = ("nvidia[0-9]*", "kfd", "dxg")  # NVIDIA, AMD, either of them in Windows' Linux
    return any(file for name in named for file in Path("/dev").glob(name))


def _processes(devices: int | str) -> int:
    if not gpu_files():
        return 1 if devices == "auto" else int(devices)
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
