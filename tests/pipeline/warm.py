"""Stages in forks of one interpreter that has the slow libraries loaded: the same code, sooner.

Most of a tiny stage's time goes into importing torch and its like. `serve` imports them once; a small script
named `python`, put first on PATH, hands `python -m stages.NAME ...` over to it, and anything else to the real
interpreter.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.pipeline.probe import record

LIBRARIES = (
    *("torch", "torch._dynamo", "torchvision", "safetensors.torch", "scipy.stats", "scipy.ndimage", "pandas"),
    *("matplotlib.figure", "PIL.Image", "pydantic", "ruamel.yaml", "typer", "rich.progress", "jinja2"),
)
LONGEST_MESSAGE = 1 << 17  # bytes: an environment fits in

CLIENT = """#!{python} -IS
import json, os, socket, sys
if sys.argv[1:2] != ["-m"] or not sys.argv[2].startswith("stages."):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.connect({address!r})
job = dict(cwd=os.getcwd(), module=sys.argv[2], arguments=sys.argv[3:], environment=dict(os.environ))
socket.send_fds(server, [json.dumps(job).encode()], [0, 1, 2])
sys.exit(int(server.recv(16) or b"1"))
"""


@contextmanager
def warm_python() -> Iterator[Path]:
    """A folder to put first on PATH while the server lives."""
    folder = Path(tempfile.mkdtemp(prefix="warm"))
    address = str(folder / "socket")
    client = folder / "python"
    client.write_text(CLIENT.format(python=sys.executable, address=address))
    client.chmod(0o755)
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "passive",
        "CUDA_VISIBLE_DEVICES": "",
    }
    command = [sys.executable, "-m", "tests.pipeline.warm", address]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    server = subprocess.Popen(command, cwd=Path(__file__).parents[2], env=environment, **pipes)
    assert server.stdin and server.stdout
    try:
        assert server.stdout.readline() == b"ready\n", "the warm interpreter did not start"
        yield folder
    finally:
        server.stdin.close()
        server.wait(timeout=60)
        shutil.rmtree(folder)


def serve(address: str) -> dict[str, Any] | None:
    """Answer calls, one after the other, until standard input ends; a job returned is this fork's to run."""
    for name in LIBRARIES:
        import_module(name)
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen()
    print("ready", flush=True)
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        message, streams, _, _ = socket.recv_fds(connection, LONGEST_MESSAGE, 3)
        if not message:  # the caller was killed
            continue
        child = os.fork()
        if child == 0:
            for standard, stream in enumerate(streams):
                os.dup2(stream, standard)
            job: dict[str, Any] = json.loads(message)
            return job
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for stream in streams:
            os.close(stream)
        connection.send(str(code).encode())
        connection.close()
    return None


def run(job: dict[str, Any]) -> int:
    """Do what `python -m MODULE ARGUMENTS` does, record its imports, and return its exit status."""
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["environment"])
    sys.argv[:] = [job["module"], *job["arguments"]]
    sys.path[:1] = [job["cwd"], *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    try:
        runpy.run_module(job["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        record(Path(job["cwd"], *job["module"].split(".")).with_suffix(".py"), job["arguments"])
    return 0


def main() -> None:
    job = serve(sys.argv[1])
    code = 0 if job is None else run(job)
    sys.stdout.flush()
    os._exit(code)  # taking all the libraries down again would take longer than a stage


if __name__ == "__main__":
    main()
