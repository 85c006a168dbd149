"""The git repository that DVC asks for: an unpacked archive has none, and DVC can be told to do without."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from dualperturb.errors import UserError

_LOCAL = Path(".dvc/config.local")  # of this folder alone: git ignores it
_SWITCH = "core.no_scm"


def settle_repository(project: Path) -> None:
    """Let DVC run where there is no git repository; take that back, for experiments, once there is one."""
    told = _told_to_do_without(project)
    if _has_repository(project):
        if told:
            _configure(project, "--unset", _SWITCH)
            print(f"git: found here now, so DVC uses it: {_SWITCH} taken out of {_LOCAL}")
    elif not told:
        _configure(project, _SWITCH, "true")
        print(
            f"git: no repository here; DVC runs without one ({_SWITCH} in {_LOCAL}). Experiments (dvc exp) "
            "want one: git init && git add --all && git commit -m Begin, then: dualperturb workflow check"
        )


def _told_to_do_without(project: Path) -> bool:
    local = project / _LOCAL
    return local.is_file() and "no_scm" in local.read_text(encoding="utf-8")


def _has_repository(project: Path) -> bool:
    """Whether DVC finds a repository that knows the project's files: here, or in a folder above."""
    here = project.resolve()
    holder = next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), None)
    return holder is not None and (holder == here or not _ignored(here))


def _ignored(project: Path) -> bool:
    """Whether a repository above leaves the project out, which DVC refuses to work with."""
    git = shutil.which("git")
    asked = [git, "check-ignore", "--quiet", "dvc.yaml"] if git else ["false"]
    return subprocess.run(asked, cwd=project, stderr=subprocess.DEVNULL).returncode == 0


def _configure(project: Path, *arguments: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "dvc", "config", "--local", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="backslashreplace",
    )
    if ended.returncode:
        raise UserError(f"dvc config --local {' '.join(arguments)}: {' '.join(ended.stderr.split())}")
