"""Checks of a project folder before DVC runs in it: they find what would end a run, and mend it where no work
is lost, or else report it in one line. The command line alone imports them; they know no stage.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dualperturb.params import load_params
from dualperturb.workflow.interrupted import mend
from dualperturb.workflow.repository import settle_repository

# Each takes the project's folder, prints a line for each thing that it mended, and may raise UserError.
CHECKS: tuple[Callable[[Path], None], ...] = (settle_repository, mend)


def make_ready(project: Path) -> None:
    """Check params.yaml, in more detail than DVC does, then run all `CHECKS` on the folder of dvc.yaml.

    Raises UserError for what only a person can mend.
    """
    load_params(project / "params.yaml")
    for check in CHECKS:
        check(project)
