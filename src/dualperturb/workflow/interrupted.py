"""Repairs of DVC's own files after a killed run or a full disk: dvc.lock, its run cache, temporary files.

The damage was seen with DVC 3.67.1, which writes dvc.lock and its table of running processes in place
(docs/recovery.md).
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dualperturb.errors import UserError
from dualperturb.files import replacing

LOCK = "dvc.lock"
MERGE_MARKS = ("<<<<<<< ", ">>>>>>> ")


def mend(project: Path) -> None:
    """Mend what would end every later `dvc repro`; print a line for each thing that was done.

    While DVC is at work in the project nothing is touched, because DVC may just be writing a file that
    looks cut off. Raises UserError for a dvc.lock with the marks of a merge, which only a person can decide.
    """
    with _dvc_idle(project) as idle:
        if idle:
            _mend_lock_file(project)
            _mend_processes(project)
            _mend_run_cache(project)
            _remove_temporary(project)


def stages_of(text: str) -> dict[str, Any] | None:
    """The stages of a dvc.lock by name; None where DVC would refuse the text."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from voluptuous import Invalid

    try:
        content = COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(text))
    except (YAMLError, Invalid, ValueError):
        return None
    stages: dict[str, Any] = content.get("stages", {})
    return stages


@contextmanager
def _dvc_idle(project: Path) -> Iterator[bool]:
    """Yield whether no DVC command is at work here; if so, none can begin while the body runs."""
    place = project / ".dvc/tmp/lock"  # DVC's own lock, which the system frees however the command ends
    if not (project / ".dvc").is_dir():
        yield False
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True


def _mend_lock_file(project: Path) -> None:
    path = project / LOCK
    if not path.exists():
        return
    text = path.read_bytes().decode("utf-8", errors="replace")
    if stages_of(text) is not None:
        return
    if any(line.startswith(MERGE_MARKS) for line in text.splitlines()):
        raise UserError(
            f"{LOCK}: found the marks of a merge; accepted: one of its two versions, as by: "
            f"git checkout --ours {LOCK} (what it does not name is restored from the run cache, or runs)"
        )
    committed = _committed(project)
    if committed is None:
        path.unlink()
        print(f"{LOCK}: cut off by an interrupted run; removed, for DVC makes it anew from its run cache")
        return
    with replacing(path) as temporary:
        temporary.write_bytes(committed)
    print(
        f"{LOCK}: cut off by an interrupted run; restored as committed, and what ran since then comes from "
        "DVC's run cache"
    )


def _committed(project: Path) -> bytes | None:
    """dvc.lock of the last commit, if there is a whole one."""
    asked = ["git", "-C", str(project), "show", f"HEAD:./{LOCK}"]
    try:
        found = subprocess.run(asked, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return found if stages_of(found.decode("utf-8", errors="replace")) is not None else None


def _mend_processes(project: Path) -> None:
    """Remove a cut-off table of running processes, which DVC refuses; it drops dead processes by itself."""
    path = project / ".dvc/tmp/rwlock"
    try:
        whole = isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except FileNotFoundError:
        return
    except ValueError:
        whole = False
    if not whole:
        path.unlink()
        print(".dvc/tmp/rwlock: cut off by an interrupted run; removed, for DVC makes it anew")


def _mend_run_cache(project: Path) -> None:
    """Remove entries that were never finished and the empty folders that they leave: DVC fails on both."""
    runs = project / ".dvc/cache/runs"
    unfinished = list(runs.glob("*/*/*.tmp"))
    for path in unfinished:
        path.unlink()
    empty = [folder for folder in runs.glob("*/*") if folder.is_dir() and not any(folder.iterdir())]
    for folder in empty:
        folder.rmdir()
    if unfinished or empty:
        print(
            f".dvc/cache/runs: removed {len(unfinished)} unfinished entries and {len(empty)} empty folders "
            "of interrupted runs"
        )


def _remove_temporary(project: Path) -> None:
    """Remove unfinished copies from the cache, which DVC keeps for ever and never reads."""
    files = list((project / ".dvc/cache/files").rglob("*.tmp"))
    size = sum(path.stat().st_size for path in files)
    for path in files:
        os.unlink(path)
    if files:
        print(f".dvc/cache: removed {len(files)} temporary files of interrupted runs, {size / 1e6:.1f} MB")
