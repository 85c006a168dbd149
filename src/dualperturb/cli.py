"""What a person runs by hand: `dualperturb data link`, `dualperturb data check`.

Commands import what they need when they run, so that `--help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dualperturb import __version__
from dualperturb.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from dualperturb.datasets.check import CheckReport

app = typer.Typer(
    help="Dual-perturbation attacks and defences. The pipeline itself runs with: dvc repro",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data = typer.Typer(help="Give the pipeline its raw data, and look at what it prepared.", no_args_is_help=True)
app.add_typer(data, name="data")


def main() -> None:
    """Run the command line; a user's mistake becomes one line on stderr and exit code 1."""
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


@data.command("link")
def data_link(
    dataset: Annotated[str, typer.Argument(help="imagenet10 or folder.")],
    root: Annotated[
        Path, typer.Option(help="Your copy: holds train/CLASS and val/CLASS (or test/CLASS), perhaps masks/.")
    ],
    raw: Annotated[
        Path | None, typer.Option(help="Where the links go.", show_default="data/raw/DATASET")
    ] = None,
) -> None:
    """Link a copy of a data set that lies elsewhere into the project, file by file. Nothing is copied.

    Of imagenet10 the classes that params.yaml lists are linked, if there is a params.yaml.
    """
    from dualperturb.datasets.link import link

    target = raw or Path("data/raw") / dataset
    links = link(dataset, root, target, _listed_classes(dataset))
    print(f"{target}: {links.made} links made, {links.kept} kept, {links.removed} removed")


def _listed_classes(dataset: str) -> Literal["all"] | list[str]:
    from dualperturb.params import load_params

    path = Path("params.yaml")
    section = getattr(load_params(path).data, dataset, None) if path.exists() else None
    classes = getattr(section, "classes", "all")
    return "all" if classes == "all" else list(classes)


@data.command("check")
def data_check(
    dataset: Annotated[str, typer.Argument(help="A prepared data set: shapes6, imagenet10 or folder.")],
    prepared: Annotated[
        Path | None, typer.Option(help="The prepared folder.", show_default="data/prepared/DATASET")
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(help="PNG file for the contact sheet.", show_default="reports/contact-DATASET.png"),
    ] = None,
    columns: Annotated[int, typer.Option(help="Images of each class on the contact sheet.", min=1)] = 8,
) -> None:
    """Count a prepared data set by class, verify its checksums and draw a contact sheet of its test split."""
    from rich.console import Console

    from dualperturb.datasets.check import check, contact_sheet
    from dualperturb.files import replacing
    from dualperturb.images import load_split

    folder = prepared or Path("data/prepared") / dataset
    picture = sheet or Path("reports") / f"contact-{dataset}.png"
    report = check(folder)
    if report.name != dataset:
        raise UserError(f"{folder}: holds the data set {report.name}, not {dataset}")
    console = Console()
    console.print(_table(report))
    for line in report.skipped:
        console.print(f"skipped: {line}", markup=False, highlight=False)
    with replacing(picture) as temporary:
        contact_sheet(load_split(folder, "test"), columns).save(temporary, format="PNG")
    console.print(f"contact sheet: {picture}", markup=False, highlight=False, soft_wrap=True)


def _table(report: CheckReport) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=escape(f"{report.name}: {report.side}x{report.side} pixels, {report.source}"),
        caption=f"checksums as in meta.json; {len(report.skipped)} unreadable images skipped",
        show_footer=True,
    )
    table.add_column("class", footer="images\nsize\nbackground")
    for split, found in report.splits.items():
        background = "no masks" if found.background is None else f"{found.background:.1%}"
        footer = f"{sum(found.counts)}\n{found.size_bytes / 2**20:.1f} MiB\n{background}"
        table.add_column(split, justify="right", footer=footer)
    for label, name in enumerate(report.class_names):
        counts = (str(found.counts[label]) for found in report.splits.values())
        folder = report.folders[label] if report.folders else name
        table.add_row(escape(name if folder == name else f"{name} ({folder})"), *counts)
    return table
