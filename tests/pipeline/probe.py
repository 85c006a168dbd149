"""A record of what stages import: for each its command and the files of the clone that it loaded."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

# The `sitecustomize` of a clone's interpreters, which Python imports before anything else.
AT_EXIT = """
import atexit, sys
from pathlib import Path
import probe
atexit.register(lambda: probe.record(Path(sys.argv[0]), sys.argv[1:]))
"""


def record(script: Path, arguments: list[str]) -> None:
    """Append a line to $IMPORTS_LOG where `script` is a stage of the current folder."""
    root = Path.cwd()
    if script.parent != root / "stages":
        return
    files = {script, *(Path(m.__file__) for m in list(sys.modules.values()) if getattr(m, "__file__", None))}
    line = {
        "cmd": " ".join(["sh stages/run", script.stem, *arguments]),
        "files": sorted(str(file.relative_to(root)) for file in files if file.is_relative_to(root)),
    }
    with open(os.environ["IMPORTS_LOG"], "a") as log:
        log.write(json.dumps(line) + "\n")
