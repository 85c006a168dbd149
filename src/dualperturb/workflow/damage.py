"""The search for damaged files, in DVC's cache and among the outputs, by the checksums that DVC recorded."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dualperturb.errors import UserError
from dualperturb.files import replacing
from dualperturb.workflow.interrupted import LOCK, stages_of

CACHE = Path(".dvc/cache/files/md5")
FOLDER = ".dir"  # ends the name of a cached list of a folder's files


@dataclass(frozen=True)
class Output:
    """A file, or a folder's list of files (path: the folder), with the MD5 that dvc.lock has of it."""

    md5: str
    path: Path
    stage: str


def verify(project: Path) -> Iterator[str]:
    """Compare all files of DVC's cache, and all outputs in the project, with their MD5; a line per finding.

    A cached file that does not fit is replaced by the project's output if that fits, and otherwise removed,
    so that `dvc repro` runs its stage (or `dvc pull` brings the file). An output that does not fit keeps its
    content, but gets a new time, so that DVC, which compares times before contents, looks at it again.
    Raises UserError where dvc.lock cannot be read.
    """
    outputs = list(_outputs(project))
    cached = sorted(path for path in (project / CACHE).glob("*/*") if path.suffix != ".tmp")
    wrong = {_name(path): path for path in _differing((path, _name(path)) for path in cached)}
    for path in wrong.values():
        path.unlink()
    here = [output for output in outputs if (project / output.path).is_file()]
    changed = set(_differing((project / output.path, output.md5) for output in here))
    for name, path in wrong.items():
        yield _replaced(project, path, [one for one in outputs if one.md5 == name], changed)
    for path in sorted(changed):
        os.utime(path)
        yield f"{path.relative_to(project)}: not as {LOCK} has it; dvc repro looks at it again"
    yield (
        f"compared {len(cached)} files of DVC's cache and {len(here)} outputs: "
        f"{len(wrong)} and {len(changed)} of them differ"
    )


def _outputs(project: Path) -> Iterator[Output]:
    """Each output in dvc.lock; after a folder come its files, if the cache has the list of them."""
    try:
        text = (project / LOCK).read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    stages = stages_of(text)
    if stages is None:
        raise UserError(f"{LOCK}: cut off or no lock file; mend it with: dualperturb workflow check")
    for stage, entry in stages.items():
        for out in entry.get("outs", ()):
            if "md5" not in out:
                continue
            yield Output(out["md5"], Path(out["path"]), stage)
            for file in _listed(project, out["md5"]):
                yield Output(file["md5"], Path(out["path"], file["relpath"]), stage)


def _listed(project: Path, md5: str) -> list[dict[str, Any]]:
    """The files of a cached folder; none where its list is absent or does not fit its name."""
    place = project / CACHE / md5[:2] / md5[2:]
    if not md5.endswith(FOLDER) or not place.is_file() or _md5(place) != md5.removesuffix(FOLDER):
        return []
    found: list[dict[str, Any]] = json.loads(place.read_bytes())
    return found


def _replaced(project: Path, path: Path, outputs: list[Output], changed: set[Path]) -> str:
    """Replace a removed cached file by the project's own copy, if that fits; return a line about it."""
    what = f"{path.relative_to(project)}: its content is not what its name says; removed"
    for output in outputs:
        own = project / output.path
        if own.is_file() and own not in changed:
            with replacing(path) as temporary:
                shutil.copyfile(own, temporary)
            path.chmod(0o444)
            return what.replace("removed", f"replaced by {output.path}")
    stages = sorted({output.stage for output in outputs})
    return f"{what}; {', '.join(stages)} runs again" if stages else f"{what}; no stage of {LOCK} needs it"


def _differing(files: Iterable[tuple[Path, str]]) -> list[Path]:
    """The files whose MD5 differs from the one given; several are read at once."""
    wanted = list(files)
    with ThreadPoolExecutor() as threads:
        found = threads.map(_md5, (path for path, _ in wanted))
    return [path for (path, md5), own in zip(wanted, found, strict=True) if own != md5.removesuffix(FOLDER)]


def _name(path: Path) -> str:
    return path.parent.name + path.name


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
