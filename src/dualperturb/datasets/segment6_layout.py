"""Segment-6's published layout: its folders and its list of partitions.

    ROOT/images/NAME    ROOT/masks/NAME    ROOT/*.csv: one row per image with its file, class and partition

A few other names of folders and columns are accepted (`_FOLDERS`, `_COLUMNS`). `manifest.csv`, which
`segment6_build` writes, is not a list of partitions.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from dualperturb.errors import UserError
from dualperturb.files import entries, refuse_special
from dualperturb.text import nfc

CLASS_NAMES = ("train", "bird", "cat", "dog", "toilet", "clock")
SIDE = 32
PUBLISHED = {"train": 3000, "test": 200}  # images a class
PARTITIONS = ("train", "val", "test")
IMAGES, MASKS, TABLE, MANIFEST = "images", "masks", "partitions.csv", "manifest.csv"

_FOLDERS = {
    "images": (IMAGES, "image", "imgs", "img"),
    "masks": (MASKS, "mask", "segmentations", "segmentation", "segs", "seg"),
}
_COLUMNS = {
    "file": ("file", "filename", "file_name", "image", "image_name", "name", "path"),
    "class": ("class", "class_name", "category", "label"),
    "partition": ("partition", "split", "set", "subset"),
}
_HOW = (
    "unpack the published data set there, or build it: dualperturb data build-segment6 --coco DIR, "
    "where DIR holds MS-COCO 2017"
)


def find_table(root: Path) -> Path:
    """The csv file that lists the partitions. Raises UserError unless there is exactly one."""
    tables = [path for path in entries(root, _HOW) if path.suffix == ".csv" and path.name != MANIFEST]
    if not tables:
        raise UserError(f"{root}: no csv file that lists the partitions; {_HOW}")
    if len(tables) > 1:
        names = ", ".join(path.name for path in tables)
        raise UserError(f"{root}: found {names}; accepted: one csv file that lists the partitions")
    return tables[0]


def find_folder(root: Path, kind: str) -> Path:
    """The folder of a kind, "images" or "masks". Raises UserError if there is none."""
    names = _FOLDERS[kind]
    there = {entry.name.lower(): entry for entry in entries(root, _HOW)}
    path = next((there[name] for name in names if name in there), None)
    if path is None:
        raise UserError(f"{root}: no folder of {kind}; accepted: {', '.join(names)}")
    return path


def read_table(table: Path, images: str) -> dict[str, tuple[int, str]]:
    """File name -> label and partition.

    images: name of the folder of images, which may stand before a file's name in the table.
    Raises UserError for a missing column, an unknown class or partition, and a file that is listed twice.
    """
    listed: dict[str, tuple[int, str]] = {}
    try:
        refuse_special(table)
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            columns = _columns(table, reader.fieldnames or [])
            for row in reader:
                where = f"{table}: line {reader.line_num}"
                name, label, partition = _parsed(where, row, columns, images)
                if name in listed:
                    raise UserError(f"{where}: {name} is listed twice; accepted: one row an image")
                listed[name] = label, partition
    except OSError as error:
        raise UserError(f"{table}: {error.strerror}; accepted: a csv file") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{table}: cannot be read as a table ({error})") from error
    return listed


def _columns(table: Path, header: Sequence[str]) -> dict[str, str]:
    """The meaning of each column (a key of `_COLUMNS`) -> the column's name in this file."""
    there = {name.strip().lower(): name for name in header}
    columns = {}
    for meaning, names in _COLUMNS.items():
        match = next((there[name] for name in names if name in there), None)
        if match is None:
            raise UserError(
                f"{table}: no column for the {meaning} among {', '.join(header) or 'none'}; "
                f"accepted: {', '.join(names)}"
            )
        columns[meaning] = match
    return columns


def _parsed(
    where: str, row: dict[str, str | None], columns: dict[str, str], folder: str
) -> tuple[str, int, str]:
    file, class_name, partition = ((row[columns[meaning]] or "").strip() for meaning in _COLUMNS)
    file = nfc(file).removeprefix(f"{folder}/")
    if not file or "/" in file or "\\" in file:
        raise UserError(f"{where}: found file {file!r}; accepted: the name of a file in {folder}/")
    if class_name.lower() not in CLASS_NAMES:
        raise UserError(f"{where}: found class {class_name!r}; accepted: {', '.join(CLASS_NAMES)}")
    if partition.lower() not in PARTITIONS:
        raise UserError(f"{where}: found partition {partition!r}; accepted: {', '.join(PARTITIONS)}")
    return file, CLASS_NAMES.index(class_name.lower()), partition.lower()
