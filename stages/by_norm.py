"""Run a stage once for each norm of params.yaml: python -m stages.by_norm STAGE ARGUMENT...

As `python -m stages.STAGE ARGUMENT... NORM`. On a CPU the runs go side by side and share its cores, which a
small network alone cannot keep busy; where there is a GPU, or where runtime.devices asks for several
processes, one after the other.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import IO

from dualperturb.params import Params
from stages.common import params, run

POLL = 0.05  # seconds between two looks at the runs


def main(stage: str, arguments: list[str]) -> None:
    settings = params()
    if len(settings.norms) == 1:
        in_this_process(stage, [*arguments, settings.norms[0]])
        return
    commands = [[sys.executable, "-m", f"stages.{stage}", *arguments, norm] for norm in settings.norms]
    at_once = len(commands) if may_share(settings) else 1
    for first in range(0, len(commands), at_once):
        side_by_side(commands[first : first + at_once])


def may_share(settings: Params) -> bool:
    """Whether runs may share this machine's processors. Asks the driver's files, for torch takes seconds."""
    gpu = any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/kfd").exists()
    return not gpu and settings.runtime.devices in ("auto", 1)


def in_this_process(stage: str, arguments: list[str]) -> None:
    """Without another interpreter's start."""
    before = sys.argv[:]
    sys.argv[1:] = arguments
    try:
        import_module(f"stages.{stage}").command()
    finally:
        sys.argv[:] = before


def side_by_side(commands: list[list[str]]) -> None:
    """Run them at once and wait; the first that fails ends the others, and this process with its status."""
    cores = len(os.sched_getaffinity(0))
    threads = {"OMP_NUM_THREADS": str(max(1, cores // len(commands)))}
    environment = threads | os.environ | {"PYTHONUNBUFFERED": "1"}
    # A bar for each on one terminal would be a mess: through a pipe they print lines.
    runs = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=_end_with_us)
        for command in commands
    ]
    printers = [threading.Thread(target=_print_all, args=(process.stdout,), daemon=True) for process in runs]
    for printer in printers:
        printer.start()
    try:
        while None in (codes := [process.poll() for process in runs]) and not any(codes):
            time.sleep(POLL)
    finally:
        for process in runs:
            process.terminate()
            process.wait()
        for printer in printers:
            printer.join()
    if failed := next((code for code in codes if code), 0):
        raise SystemExit(failed if failed > 0 else 128 - failed)


def _print_all(lines: IO[str] | None) -> None:
    for line in lines or ():
        print(line, end="", flush=True)


def _end_with_us() -> None:
    """Let the system end a run when the process that started it is killed."""
    parent_death_signal = 1  # PR_SET_PDEATHSIG in prctl.h
    ctypes.CDLL(None).prctl(parent_death_signal, signal.SIGKILL)


if __name__ == "__main__":
    run(main)
