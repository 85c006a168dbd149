"""A project folder before DVC runs in it: what would end a run is found here, mended where no work is lost, else
told of in one line. The command line alone imports it; it knows no stage.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

# Each is given the project's folder, prints one line a thing that it mended, and raises UserError.
CHECKS: tuple[Callable[[Path], None], ...] = ()


def make_ready(project: Path) -> None:
    """Run all `CHECKS` on the folder that holds dvc.yaml. Raises UserError for what only a person can mend."""
    for check in CHECKS:
        check(project)
