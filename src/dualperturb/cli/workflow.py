"""The commands of `dualperturb workflow`, which make a project folder ready for DVC and verify checksums."""

from __future__ import annotations

from pathlib import Path

import typer

workflow = typer.Typer(help="Make this project's folder ready for DVC.", no_args_is_help=True)


@workflow.command("check")
def workflow_check() -> None:
    """Before `dvc repro`: check params.yaml and mend what an interrupted run left. `make repro` calls it."""
    from dualperturb.workflow import make_ready

    make_ready(Path())


@workflow.command("verify")
def workflow_verify() -> None:
    """Compare DVC's cache and the pipeline's outputs with their checksums.

    A damaged file goes from the cache, so that `dvc repro` runs its stage again, or `dvc pull` brings it.
    """
    from dualperturb.params import load_params
    from dualperturb.workflow.damage import verify

    load_params(Path("params.yaml"))  # raises outside a project: comparing nothing must not pass in silence
    for line in verify(Path()):
        print(line)
