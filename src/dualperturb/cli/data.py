"""The commands of `dualperturb data`, which fetch, link and build raw data, and check prepared data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dualperturb.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from dualperturb.datasets.check import CheckReport
    from dualperturb.params import Params

data = typer.Typer(help="Give the pipeline its raw data, and look at what it prepared.", no_args_is_help=True)


@data.command("fetch")
def data_fetch(
    dataset: Annotated[
        str, typer.Argument(help="cifar10: 163 MiB; or stl10: 2.5 GB, of which 360 MB are kept.")
    ],
    raw: Annotated[
        Path | None, typer.Option(readable=False, help="Where the files go.", show_default="data/raw/DATASET")
    ] = None,
) -> None:
    """Download a data set, check it and keep what the pipeline reads. Run again, it goes on."""
    from dualperturb.datasets.raw.fetch import fetch
    from dualperturb.progress import counting

    _params()
    target = raw or Path("data/raw") / dataset
    with counting(f"{dataset}, MiB") as progress:
        fetched = fetch(dataset, target, progress)
    print(f"{target}: {fetched} of its files fetched")


@data.command("import-masks")
def data_import_masks(
    dataset: Annotated[str, typer.Argument(help="stl10.")],
    marks: Annotated[
        Path,
        typer.Option(readable=False, help="Your copy of the public segmentations: stl10_SPLIT_CLASS.json."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(readable=False, help="Where the masks go.", show_default="data/raw/DATASET/masks"),
    ] = None,
) -> None:
    """Turn the public segmentations of STL-10 into masks for `stl10.masks.source: files` in params.yaml."""
    from dualperturb.datasets.raw.stl10_marks import import_masks

    _params()
    if dataset != "stl10":
        raise UserError(f"dataset: found {dataset!r}; accepted: stl10")
    target = out or Path("data/raw/stl10/masks")
    done = import_masks(marks, target)
    counts = ", ".join(f"{count} {split}" for split, count in done.masks.items())
    print(f"{target}: {counts} masks from {done.files} files")


@data.command("build-segment6")
def data_build_segment6(
    coco: Annotated[
        Path,
        typer.Option(
            readable=False, help="Your copy of MS-COCO 2017: annotations/, train2017/ and val2017/."
        ),
    ],
    out: Annotated[Path, typer.Option(readable=False, help="Where the set goes.")] = Path(
        "data/raw/segment6"
    ),
    train_per_class: Annotated[int, typer.Option(help="Training images a class.", min=1)] = 3000,
    test_per_class: Annotated[int, typer.Option(help="Test images a class.", min=1)] = 200,
    seed: Annotated[int, typer.Option(help="Decides which objects are taken.", min=0)] = 0,
    min_area: Annotated[int, typer.Option(help="Pixels of the smallest object taken.", min=1)] = 256,
) -> None:
    """Rebuild Segment-6 from MS-COCO 2017, in the published layout. If interrupted, it leaves nothing."""
    from dualperturb.datasets.raw.segment6_build import build
    from dualperturb.progress import counting

    _params()
    asked = {"train": train_per_class, "test": test_per_class}
    with counting("segment6") as progress:
        built = build(coco, out, asked, seed, min_area, progress)
    for split, counts in built.counts.items():
        print(f"{out}: {sum(counts.values())} {split} images")
        for name, count in counts.items():
            if count < asked[split]:
                print(
                    f"{split}: {count} of {name}, {asked[split]} asked for; {coco} holds no more of that area"
                )
        if built.passed_over[split]:
            print(f"{split}: {len(built.passed_over[split])} passed over, whose masks vanish at 32x32")


@data.command("link")
def data_link(
    dataset: Annotated[str, typer.Argument(help="cifar10, stl10, imagenet10 or folder.")],
    root: Annotated[
        Path,
        typer.Option(
            readable=False,
            help="Your copy: train/CLASS and val/CLASS (or test/CLASS), perhaps masks/; of cifar10 or stl10 "
            "the published binary files; of imagenet10 a full ImageNet, val/ in folders or flat, or "
            "Kaggle's archive of it.",
        ),
    ],
    raw: Annotated[
        Path | None, typer.Option(readable=False, help="Where the links go.", show_default="data/raw/DATASET")
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the files instead of linking to them.")] = False,
    val_labels: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help="Of imagenet10 with a flat val/: its labels, where they do not lie beside it: the devkit's "
            "folder, LOC_val_solution.csv or a csv of file,wnid.",
        ),
    ] = None,
) -> None:
    """Link a copy of a data set that lies elsewhere into the project, file by file.

    Of imagenet10 the classes that params.yaml lists are linked, if there is a params.yaml.
    """
    from dualperturb.datasets.raw.link import link
    from dualperturb.datasets.reading.formats import passed_over_line
    from dualperturb.progress import counting

    target = raw or Path("data/raw") / dataset
    classes = _listed_classes(dataset)
    with counting(dataset) as progress:
        links = link(dataset, root, target, classes, copy=copy, val_labels=val_labels, progress=progress)
    made = "copies" if copy else "links"
    print(f"{target}: {links.made} {made} made, {links.kept} kept, {links.removed} removed")
    if links.passed_over:
        print(f"{target}: {passed_over_line(links.passed_over)}")


def _params() -> Params | None:
    """The project's parameters, if this folder is a project. Every command checks them first."""
    from dualperturb.params import load_params

    path = Path("params.yaml")
    return load_params(path) if path.exists() else None


def _listed_classes(dataset: str) -> Literal["all"] | list[str]:
    section = getattr(_params(), dataset, None)
    classes = getattr(getattr(section, "data", None), "classes", "all")
    return "all" if classes == "all" else list(classes)


@data.command("check")
def data_check(
    dataset: Annotated[str, typer.Argument(help="The name of a prepared data set.")],
    prepared: Annotated[
        Path | None,
        typer.Option(readable=False, help="The prepared folder.", show_default="data/prepared/DATASET"),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            readable=False, help="PNG file for the contact sheet.", show_default="reports/contact-DATASET.png"
        ),
    ] = None,
    columns: Annotated[
        int, typer.Option(help="Images of each class on the contact sheet.", min=1, max=500)
    ] = 8,
) -> None:
    """Count a prepared data set by class, verify its checksums and draw a contact sheet of its test split."""
    from rich.console import Console

    from dualperturb.core.images import load_split
    from dualperturb.datasets.check import check, contact_sheet
    from dualperturb.datasets.reading.formats import passed_over_line, transparent_line
    from dualperturb.files import replacing

    _params()
    folder = prepared or Path("data/prepared") / dataset
    picture = sheet or Path("reports") / f"contact-{dataset}.png"
    report = check(folder)
    if report.name != dataset:
        raise UserError(f"{folder}: holds the data set {report.name}, not {dataset}")
    console = Console()
    console.print(_table(report))
    for line in report.deviations:
        console.print(f"deviation: {line}", markup=False, highlight=False, soft_wrap=True)
    for tell, paths in ((passed_over_line, report.passed_over), (transparent_line, report.transparent)):
        if paths:
            console.print(tell(paths), markup=False, highlight=False, soft_wrap=True)
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
