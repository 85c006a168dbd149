"""ImageNet's validation images as they are published: one flat folder, and the labels in a file elsewhere.

The labels come from the devkit or a csv. The devkit's `ILSVRC2012_validation_ground_truth.txt` holds one
ILSVRC2012 ID per line in the order of the image numbers, and its `meta.mat` the synset of each ID. The csv is
Kaggle's `LOC_val_solution.csv` (ImageId,PredictionString; the string begins with the wnid), or has columns
file,wnid.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from dualperturb.datasets.reading.formats import may_be_image
from dualperturb.errors import UserError
from dualperturb.text import nfc

_CSV = "LOC_val_solution.csv"
_DEVKIT = "ILSVRC2012_devkit_t12"
_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_META = "meta.mat"
_COLUMNS = (("ImageId", "PredictionString"), ("file", "wnid"))
_WNID = re.compile(r"n\d{8}")
_ACCEPTED = f"accepted: the devkit's folder ({_DEVKIT}, unpacked), its {_TRUTH}, {_CSV} or a csv of file,wnid"


def image_folder(root: Path) -> Path:
    """The folder that holds train/ and val/: `root`, or a folder under `root` if that is Kaggle's archive."""
    kaggle = (root / "ILSVRC" / "Data" / "CLS-LOC", root / "Data" / "CLS-LOC")
    return next((folder for folder in kaggle if (folder / "val").is_dir()), root)


def by_synset(val: Path, wnids: Sequence[str], labels: Path | None) -> dict[str, list[Path]]:
    """The images of a flat validation folder by wnid, in the order of their names.

    wnids: the synsets wanted. labels: a csv, the devkit's folder or its list of labels; None looks for them
    in the folder `val`, above it and beside it.
    Raises UserError if there are no images, for a malformed file of labels, for an image without a label and
    for a wnid that labels no image.
    """
    images = sorted(path for path in val.iterdir() if may_be_image(path))
    if not images:
        raise UserError(f"{val}: holds neither class folders nor images; accepted: one of the two")
    path = _label_file(labels) if labels is not None else _find(val)
    by_stem = _from_csv(path) if path.suffix.lower() == ".csv" else _from_devkit(path)
    found: dict[str, list[Path]] = {wnid: [] for wnid in wnids}
    for image in images:
        stem = nfc(image.stem)
        if stem not in by_stem:
            raise UserError(f"{path}: holds no label of {image}; it labels {len(by_stem)} images")
        if by_stem[stem] in found:
            found[by_stem[stem]].append(image)
    for wnid, labelled in found.items():
        if not labelled:
            raise UserError(f"{path}: labels no image of {val} as {wnid}, which params.yaml lists")
    return found


def _find(val: Path) -> Path:
    above = val.resolve().parents
    # Kaggle's csv lies three folders above CLS-LOC.
    for folder in (val.resolve(), *above[:4]):
        for name in (_CSV, f"{_DEVKIT}/data/{_TRUTH}", f"data/{_TRUTH}", _TRUTH):
            if (folder / name).is_file():
                return folder / name
    raise UserError(
        f"{val}: a flat folder, and its labels were not found there or above; give them with "
        f"--val-labels PATH, {_ACCEPTED}"
    )


def _label_file(given: Path) -> Path:
    """The file of labels that the user named, either directly or by a folder that holds it."""
    candidates = (
        given,
        given / "data" / _TRUTH,
        given / _DEVKIT / "data" / _TRUTH,
        given / _TRUTH,
        given / _CSV,
    )
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise UserError(f"--val-labels {given}: no labels there; {_ACCEPTED}")
    return found


def _from_devkit(path: Path) -> dict[str, str]:
    wnids = _leaf_synsets(path.parent / _META)
    labels = {}
    for number, line in enumerate(_lines(path), start=1):
        wnid = wnids.get(int(line)) if line.strip().isdecimal() else None
        if wnid is None:
            raise UserError(
                f"{path}: line {number}: found {line.strip()!r}; accepted: an ILSVRC2012 ID of {_META}, "
                f"{min(wnids)} to {max(wnids)}"
            )
        labels[f"ILSVRC2012_val_{number:08d}"] = wnid
    return labels


def _leaf_synsets(path: Path) -> dict[int, str]:
    """ILSVRC2012 ID -> wnid of the synsets that images are labelled with: those without children."""
    from scipy.io import loadmat

    if not path.is_file():
        raise UserError(f"{path}: not found; it belongs beside {_TRUTH}, or give a csv with --val-labels")
    try:
        synsets = loadmat(path, squeeze_me=True, variable_names=["synsets"])["synsets"].reshape(-1)
        found = {int(one["ILSVRC2012_ID"]): str(one["WNID"]) for one in synsets if one["num_children"] == 0}
    except Exception as error:  # a damaged file makes SciPy raise almost any exception
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: cannot be read as the devkit's list of synsets ({reason})") from error
    if not found:
        raise UserError(f"{path}: lists no synset without children, and only those label images")
    return found


def _from_csv(path: Path) -> dict[str, str]:
    rows = enumerate(csv.reader(_lines(path)), start=1)
    _, header = next(rows, (1, []))
    columns = next((pair for pair in _COLUMNS if set(pair) <= set(header)), None)
    if columns is None:
        accepted = " or ".join(",".join(pair) for pair in _COLUMNS)
        raise UserError(f"{path}: found the columns {','.join(header)!r}; accepted: {accepted}")
    file, label = (header.index(name) for name in columns)
    labels: dict[str, str] = {}
    for number, row in rows:
        if not row:
            continue
        # "n01440764 10 20 300 200 ": the wnid, then the corners of its boxes
        wnid = (row[label].split() or [""])[0] if len(row) == len(header) else ""
        if not _WNID.fullmatch(wnid):
            raise UserError(
                f"{path}: line {number}: found {','.join(row)!r}; accepted: {','.join(columns)}, "
                "with a wnid like n01440764"
            )
        stem = nfc(PurePosixPath(row[file].strip()).stem)
        if stem in labels:
            raise UserError(f"{path}: line {number}: a second label of {stem}; accepted: one an image")
        labels[stem] = wnid
    return labels


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except ValueError as error:
        raise UserError(f"{path}: is no text ({error}); {_ACCEPTED}") from error
