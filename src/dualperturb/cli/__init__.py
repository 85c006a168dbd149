"""The commands that a person runs by hand: `dualperturb data` and `dualperturb workflow`. Nothing imports it.

Commands import what they need when they run, so that `--help` answers at once. Typer does not check paths
(`readable=False`), because the code that reads one reports in one line what is wrong with it.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dualperturb import __version__
from dualperturb.cli.data import data
from dualperturb.cli.workflow import workflow
from dualperturb.errors import UserError
from dualperturb.launch import speak_utf8

app = typer.Typer(
    help="Dual-perturbation attacks and defences. The pipeline itself runs with: dvc repro",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data, name="data")
app.add_typer(workflow, name="workflow")


def main() -> None:
    """Run the command line; a user's mistake becomes one line on stderr and exit code 1."""
    speak_utf8()
    try:
        app()
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"dualperturb {__version__}")
        raise typer.Exit()


@app.callback()
def top(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass
