"""A project folder before DVC runs in it: what would end a run is found, and mended where no work is lost,
else told of in one line. The command line alone imports it; it knows no stage.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dualperturb.params import load_params
from dualperturb.workflow.interrupted import mend
from dualperturb.workflow.repository import settle_repository

# Each is given the project's folder, prints one line a thing that it mended, and raises UserError.
CHECKS: tuple[Callable[[Path], None], ...] = (settle_repository, mend)


def make_ready(project: Path) -> None:
    """Check params.yaml, of which DVC says less, then run all `CHECKS` on the folder of dvc.yaml.

    Raises UserError for what only a person can mend.
    """
    load_params(project / "params.yaml")
    for check in CHECKS:
        check(project)
