"""A project folder before DVC runs in it: what would end a run is found, and mended where no work is lost,
else told of in one line. The command line alone imports it; it knows no stage.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dualperturb.workflow.interrupted import mend

# Each is given the project's folder, prints one line a thing that it mended, and raises UserError.
CHECKS: tuple[Callable[[Path], None], ...] = (mend,)


def make_ready(project: Path) -> None:
    """Run all `CHECKS` on the folder of dvc.yaml. Raises UserError for what only a person can mend."""
    for check in CHECKS:
        check(project)
