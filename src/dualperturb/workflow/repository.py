"""The git repository that DVC asks for: an unpacked archive has none, and DVC can be told to do without."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from dualperturb.errors import UserError

_LOCAL = Path(".dvc/config.local")  # of this folder alone: git ignores it
_SWITCH = "core.no_scm"
_TOLD = re.compile(r"^\s*no_scm\s*=\s*true\b", re.IGNORECASE | re.MULTILINE)


def settle_repository(project: Path) -> None:
    """Let DVC run without a git repository; once there is one, undo that, since experiments need it."""
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
    return local.is_file() and bool(_TOLD.search(local.read_text(encoding="utf-8")))


def _has_repository(project: Path) -> bool:
    """Whether DVC finds a repository to work with: here, or above if that one does not ignore the project."""
    from dvc.scm import SCM, SCMError

    try:
        found = SCM(str(project.resolve()), search_parent_directories=True)
    except SCMError:  # none, or a damaged one
        return False
    return not found.is_ignored(str(project.resolve() / "dvc.yaml"))


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
