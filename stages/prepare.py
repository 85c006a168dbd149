"""Preparation of one data set: raw files, or none for shapes6, -> data/prepared/DATASET."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from dualperturb.datasets import prepare
from dualperturb.datasets.reading.formats import passed_over_line, transparent_line
from stages.common import PREPARED, RAW, params, run, timed


def main(dataset: str) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks = {split: bar.add_task(f"{dataset} {split}", total=None) for split in ("train", "test")}

        def show(split: str, done: int, total: int) -> None:
            bar.update(tasks[split], completed=done, total=total)

        with timed(dataset, "prepare"):
            meta = prepare(dataset, params(), RAW / dataset, PREPARED / dataset, show)
    for kind in ("warning", "deviation"):
        for line in meta.get(f"{kind}s", ()):
            print(f"{kind}: {line}")
    if passed_over := meta.get("passed_over"):
        print(f"{dataset}: {passed_over_line(passed_over)}")
    if transparent := meta.get("transparent"):
        print(f"{dataset}: {transparent_line(transparent)}")
    counts = ", ".join(f"{entry['count']} {split}" for split, entry in meta["splits"].items())
    skipped = f", {len(meta['skipped'])} unreadable skipped" if meta["skipped"] else ""
    print(f"{dataset}: {counts} images of {meta['side']}x{meta['side']} pixels{skipped}")


if __name__ == "__main__":
    run(main)
