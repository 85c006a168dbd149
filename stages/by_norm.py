"""Runs of one stage, one for each norm of params.yaml: python -m stages.by_norm STAGE ARGUMENT...

Each run is `python -m stages.STAGE ARGUMENT... NORM`. On a CPU they go side by side and share its cores,
which a small network alone cannot keep busy; where there is a GPU, or where runtime.devices asks for several
processes, they go one after the other.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from typing import IO

from dualperturb import launch
from dualperturb.params import Params
from stages.common import params, run
from stages.processes import gpu_files

POLL = 0.05  # seconds between two looks at the runs


def main(stage: str, arguments: list[str]) -> None:
    settings = params()
    if len(settings.norms) == 1:
        in_this_process(stage, [*arguments, settings.norms[0]])
        return
    commands = [[sys.executable, "-m", f"stages.{stage}", *arguments, norm] for norm in settings.norms]
    run_all(commands, settings)


def run_all(commands: list[list[str]], settings: Params) -> None:
    """Side by side where they may share the processors, else one after the other."""
    together = len(commands) if may_share(settings) else 1
    for first in range(0, len(commands), together):
        side_by_side(commands[first : first + together])


def may_share(settings: Params) -> bool:
    """Whether runs, or parts of one, may share this machine's processors."""
    return not gpu_files() and settings.runtime.devices in ("auto", 1) and launch.world_size() == 1


def at_once(settings: Params) -> int:
    """In how many processes a stage may work on its parts: one a core, or this one alone."""
    return len(os.sched_getaffinity(0)) if may_share(settings) else 1


def in_this_process(stage: str, arguments: list[str]) -> None:
    """Run the stage here, without starting another interpreter."""
    before = sys.argv[:]
    sys.argv[1:] = arguments
    try:
        import_module(f"stages.{stage}").command()
    finally:
        sys.argv[:] = before


def side_by_side(commands: list[list[str]]) -> None:
    """Run them at once and wait; the first that fails ends the others, and this process with its status."""
    from dualperturb.progress import one_display

    cores = len(os.sched_getaffinity(0))
    threads = {"OMP_NUM_THREADS": str(max(1, cores // len(commands)))}
    environment = threads | os.environ | {"PYTHONUNBUFFERED": "1"}
    if len(commands) == 1:  # it has the terminal to itself, and so have its ranks
        ended = subprocess.run(commands[0], env=environment, preexec_fn=launch.end_with_parent).returncode
        return _end(ended)
    with one_display() as follow:
        runs = [_Shown(command, environment, follow) for command in commands]
        try:
            while None in (codes := [run.process.poll() for run in runs]) and not any(codes):
                time.sleep(POLL)
        finally:
            for run in runs:
                run.end()
    _end(next((code for code in codes if code), 0))


def _end(code: int) -> None:
    if code:
        raise SystemExit(code if code > 0 else 128 - code)


class _Shown:
    """A run whose lines and progress this process shows: two runs that draw would garble the terminal."""

    def __init__(
        self, command: list[str], environment: dict[str, str], follow: Callable[[IO[str]], None] | None
    ) -> None:
        from dualperturb.progress import REPORTS_TO

        received, sent = os.pipe()
        reporting = {} if follow is None else {REPORTS_TO: str(sent)}
        self.process = subprocess.Popen(
            command,
            env=environment | reporting | {"PYTHONIOENCODING": "utf-8:backslashreplace"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
            pass_fds=[sent],
            preexec_fn=launch.end_with_parent,
        )
        os.close(sent)
        reads = (
            functools.partial(_print_all, self.process.stdout, "stdout"),
            functools.partial(_print_all, self.process.stderr, "stderr"),
            functools.partial(follow or list, os.fdopen(received, encoding="utf-8")),
        )
        self.readers = [threading.Thread(target=read, daemon=True) for read in reads]
        for reader in self.readers:
            reader.start()

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()
        for reader in self.readers:
            reader.join()


def _print_all(lines: IO[str] | None, stream: str) -> None:
    for line in lines or ():
        print(line, end="", file=getattr(sys, stream), flush=True)  # looked up anew: the display wraps it


if __name__ == "__main__":
    run(main)
