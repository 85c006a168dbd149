"""1.28 million images: what the loader and the result store do with them, and what training on them takes.

    python benchmarks/scale.py simulate
    python benchmarks/scale.py estimate --images-per-second 1000 --price-per-hour 2

`simulate` works on synthetic data, in one process on one thread. The 193 GB of images at 224x224 are a sparse
file: its size, offsets and shuffling are the real ones, but it has no blocks on the disk, so that its reading
speed is the memory's. The disk is measured on a dense file. A whole epoch is walked with small images.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
import typer
from rich.progress import track
from scale_estimate import Run, count_network, count_panels
from scale_estimate import estimate as estimated
from scale_reading import Row
from scale_simulation import CLASSES, dense_file, large_set, memory, whole_epoch

from dualperturb.files import write_csv

RESULTS = Path(__file__).parent / "results" / "scale.csv"
app = typer.Typer(help=__doc__, add_completion=False, no_args_is_help=True)


@app.command()
def simulate(
    images: Annotated[int, typer.Option(help="Images of the large set.")] = 1_281_167,
    side: Annotated[int, typer.Option(help="Their pixels a side.")] = 224,
    small: Annotated[int, typer.Option(help="Pixels a side where the whole set is walked.")] = 4,
    batches: Annotated[int, typer.Option(help="Batches of 64 that are timed.")] = 3,
    dense: Annotated[int, typer.Option(help="Images of the dense file: 0.2 MB each.")] = 13_000,
    sweep_points: Annotated[int, typer.Option(help="Points of the table of images.")] = 2,
    out: Annotated[Path, typer.Option(help="CSV file for the measurements.")] = RESULTS,
) -> None:
    """Measure the loader and the result store; needs 2.7 GB of disk for a while."""
    torch.set_num_threads(1)
    rows: list[Row] = [("memory at the start, anonymous", memory()["RssAnon"], "MB")]
    parts = (
        lambda folder: large_set(folder, images, side, batches),
        lambda folder: dense_file(folder, dense, side, batches),
        lambda folder: whole_epoch(folder, images, small, sweep_points),
    )
    for part in track(parts, "measuring", transient=True):
        with tempfile.TemporaryDirectory(prefix="scale-") as folder:
            rows.extend(part(Path(folder)))
    measured = [(what, _rounded(value), unit) for what, value, unit in rows]
    write_csv(out, pd.DataFrame(measured, columns=["what", "value", "unit"]))
    for what, value, unit in measured:
        print(f"{what:<66} {value:>9} {unit}".rstrip())


@app.command()
def estimate(
    images_per_second: Annotated[
        float, typer.Option(help="ResNet-34, 224x224, one GPU, training.", min=1e-9)
    ],
    price_per_hour: Annotated[float, typer.Option(help="Of one GPU, USD.", min=0)],
    gpus: Annotated[list[int] | None, typer.Option(help="May be given again.", show_default="8, 64")] = None,
    link: Annotated[float, typer.Option(help="What a GPU sends to others, GB/s.", min=1e-9)] = 25.0,
    batch_size: Annotated[int, typer.Option(help="Of one GPU.", min=1)] = 64,
) -> None:
    """Time, memory and money for ImageNet-1k: 50-step AT-Dual of a ResNet-34 over 20 epochs."""
    network, panels, used = count_network("resnet34", CLASSES, 224), count_panels(), gpus or [8, 64]
    runs = [Run(images_per_second, price_per_hour, count, link=link, batch_size=batch_size) for count in used]
    columns = [estimated(run, network, panels) for run in runs]
    print(f"{'GPUs':<36}" + "".join(f"{count:>10}" for count in used))
    for cells in zip(*columns, strict=True):
        values = "".join(f"{_rounded(value):>10}" for _, value, _ in cells)
        print(f"{cells[0][0]:<36}{values} {cells[0][2]}".rstrip())
    other = count_network("resnet50", CLASSES, 224)
    flops = f"ResNet-34 {network.forward / 1e9:.2f}, ResNet-50 {other.forward / 1e9:.2f}"
    print(f"\nGFLOPs of a forward pass: {flops}")
    print(f"FLOPs of an attack's step over a training step: {network.attack / network.training:.3f}")


def _rounded(value: float) -> str:
    """Whole numbers as they are, others to three digits, never with an exponent."""
    if value == int(value):
        return str(int(value))
    return f"{float(f'{value:.3g}'):.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


if __name__ == "__main__":
    app()
