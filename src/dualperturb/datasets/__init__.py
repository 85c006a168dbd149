"""Readers of data sets, and `prepare`, which turns the raw files of one into a prepared folder.

Stages, the command line and masks import it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from dualperturb.core.images import SPLITS, Row, write_meta, write_split
from dualperturb.datasets.reading.linked import refuse_linked_folders
from dualperturb.errors import UserError
from dualperturb.files import replacing, write_json
from dualperturb.params import Params

# Called after each image: split, images done, images in all (fewer come if some are skipped).
Progress = Callable[[str, int, int], None]
Reader = Callable[[str, Params, Path, Path, Progress | None], dict[str, Any]]


def prepare(
    dataset: str, params: Params, raw: Path, out: Path, progress: Progress | None = None
) -> dict[str, Any]:
    """Write the prepared folder `out` of a data set (see `core.images`) and return its `meta.json`.

    raw: the data set's own raw folder (unused by shapes6). The folder is written beside `out` under a
    temporary name and renamed when complete, so that an interrupted run leaves nothing half written at `out`.
    Raises UserError for an unknown data set, an absent raw folder, a link to a folder in it, a full disk
    and whatever the data set's reader refuses.
    """
    if dataset not in READERS:
        raise UserError(f"dataset: found {dataset!r}; accepted: {', '.join(READERS)}")
    refuse_linked_folders(raw, dataset)
    try:
        with replacing(out) as folder:
            meta = {"name": dataset, **READERS[dataset](dataset, params, raw, folder, progress)}
            write_meta(folder, **meta)
    except OSError as error:  # for example a folder that may not be read
        reason = error.strerror or str(error)
        raise UserError(f"{error.filename or out}: {reason}; {dataset} is not prepared") from error
    return meta


def _shapes6(dataset: str, params: Params, raw: Path, out: Path, progress: Progress | None) -> dict[str, Any]:
    from dualperturb.datasets import shapes6

    spec = params.of("shapes6").data
    splits = {}
    for split, count in zip(SPLITS, (spec.train, spec.test), strict=True):
        rows = shapes6.rows(count, params.seeds.data, split, spec.background_match)
        splits[split] = write_split(out, split, shapes6.SIDE, _counted(rows, split, count, progress))
    return {
        "class_names": list(shapes6.CLASS_NAMES),
        "folders": [],
        "side": shapes6.SIDE,
        "source": f"drawn by dualperturb, seed {params.seeds.data}",
        "splits": splits,
        "skipped": [],
    }


def _photographs(
    dataset: str, params: Params, raw: Path, out: Path, progress: Progress | None
) -> dict[str, Any]:
    from dualperturb.datasets import photos
    from dualperturb.datasets.pool import decoding, processes_for
    from dualperturb.datasets.reading import photo_folders

    _require_raw(dataset, raw)
    spec = params.of(dataset).data
    found = photo_folders.survey(raw, spec)
    totals = {split: photos.total(found, split, spec) for split in SPLITS}
    skipped, transparent, splits = [], [], {}
    with decoding(processes_for(sum(totals.values()))) as decode:
        for split, total in totals.items():
            notes = photos.Notes()
            rows = photos.read(found, split, spec, notes, decode)
            splits[split] = write_split(out, split, spec.side, _counted(rows, split, total, progress))
            write_json(out / f"{split}.names.json", notes.names)
            skipped += notes.skipped
            transparent += notes.transparent
    return {
        "class_names": list(found.class_names),
        "folders": list(found.folders),
        "side": spec.side,
        "source": f"photographs under {raw.name if raw.is_absolute() else raw.as_posix()}",
        "splits": splits,
        "skipped": skipped,
        "passed_over": list(found.passed_over),
        "transparent": transparent,
    }


def _segment6(
    dataset: str, params: Params, raw: Path, out: Path, progress: Progress | None
) -> dict[str, Any]:
    from dualperturb.datasets import segment6
    from dualperturb.datasets.segment6_layout import CLASS_NAMES, SIDE

    spec = params.of("segment6").data
    found = segment6.survey(raw)
    splits = {}
    for split, wanted in zip(SPLITS, (spec.train_per_class, spec.test_per_class), strict=True):
        items = segment6.chosen(found, split, wanted)
        rows = segment6.read(items)
        splits[split] = write_split(out, split, SIDE, _counted(rows, split, len(items), progress))
        names = [f"{CLASS_NAMES[item.label]}/{item.image.name}" for item in items]
        write_json(out / f"{split}.names.json", names)
    return {
        "class_names": list(CLASS_NAMES),
        "folders": [],
        "side": SIDE,
        "source": "Segment-6 in its published layout",
        "splits": splits,
        "skipped": [],
        "deviations": list(found.deviations),
    }


def _binary(dataset: str, params: Params, raw: Path, out: Path, progress: Progress | None) -> dict[str, Any]:
    from dualperturb.datasets import cifar10, stl10

    reader = {"cifar10": cifar10, "stl10": stl10}[dataset]
    spec = params.of(dataset).data
    found = reader.survey(raw)
    splits = {}
    for split, wanted in zip(SPLITS, (spec.train, spec.test), strict=True):
        rows, total = reader.read(found, split, wanted), found.total(split, wanted)
        splits[split] = write_split(out, split, reader.SIDE, _counted(rows, split, total, progress))
    warnings = found.warnings
    return {
        "class_names": list(found.class_names),
        "folders": [],
        "side": reader.SIDE,
        "source": f"{found.published.title}, {'not ' if warnings else ''}its official files",
        "splits": splits,
        "skipped": [],
        "md5": found.md5,
        "warnings": warnings,
    }


def _require_raw(dataset: str, raw: Path) -> None:
    from dualperturb.datasets.reading.photo_folders import split_folder

    for split in SPLITS:
        folder = split_folder(raw, split)
        if folder.is_dir():
            continue
        state = f"a link to {folder.readlink()}, which is absent" if folder.is_symlink() else "not found"
        kind = "wnid" if dataset == "imagenet10" else "class"
        raise UserError(
            f"{folder}: {state}; link your copy with: dualperturb data link {dataset} --root DIR, "
            f"where DIR holds train/<{kind}> and val/<{kind}>"
        )


def _counted(rows: Iterable[Row], split: str, total: int, progress: Progress | None) -> Iterator[Row]:
    for done, row in enumerate(rows, start=1):
        yield row
        if progress is not None:
            progress(split, done, total)


READERS: dict[str, Reader] = {
    "shapes6": _shapes6,
    "segment6": _segment6,
    "cifar10": _binary,
    "stl10": _binary,
    "imagenet10": _photographs,
    "folder": _photographs,
}
