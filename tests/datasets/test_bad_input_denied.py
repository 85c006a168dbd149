"""Files and folders that may not be read or written: one clear line that names them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.datasets.child_process import BUILD, ENVIRONMENT, FETCH, IMPORT, RUNNER
from tests.datasets.raw_folders import noise, project

pytest.importorskip("pycocotools", reason="the extra coco is not installed")

SIX, STL = ("prepare", "segment6"), ("prepare", "stl10")
# Everything is imported before the permissions are given up, with which it could not be read.
AS_NOBODY = """
import PIL.ImageFont, encodings.utf_8_sig, pycocotools.mask, rich.console, rich.progress, rich.table
from PIL import Image
from dualperturb import progress
from dualperturb.masks import files as mask_files
from dualperturb.params import masks as mask_params
from dualperturb.params import reading as params
from dualperturb.datasets import check
from dualperturb.datasets.reading import decode
from dualperturb.datasets.raw import fetch
from dualperturb.datasets import photos
from dualperturb.datasets import segment6
from dualperturb.datasets.raw import segment6_build
from dualperturb.datasets import stl10
from dualperturb.datasets.raw import stl10_marks

Image.init()
params.load_params(Path(sys.argv[1]))
try:
    os.geteuid() == 0 and os.setuid(65534)
except OSError as error:
    print(json.dumps(f"root without permission to become another user: {error}"))
    sys.exit()
results = []
for folder, argv in json.load(sys.stdin):
    os.chdir(folder)
    results.append(said(argv))
print(json.dumps(results))
"""
DENIED = {
    "an image": (
        SIX,
        "data/raw/segment6/images/test_cat.jpg",
        "cat.jpg: unreadable image (Permission denied)",
    ),
    "a mask": (SIX, "data/raw/segment6/masks/test_cat.png", "cat.png: unreadable image (Permission denied)"),
    "the folder of images": (
        SIX,
        "data/raw/segment6/images",
        "images: cannot be read (Permission denied); acc",
    ),
    "the list": (
        SIX,
        "data/raw/segment6/partitions.csv",
        "partitions.csv: Permission denied; accepted: a csv",
    ),
    "segment6": (
        SIX,
        "data/raw/segment6",
        "raw/segment6: cannot be read (Permission denied); unpack the publ",
    ),
    "STL-10's images": (
        STL,
        "data/raw/stl10/test_X.bin",
        "test_X.bin: cannot be read (Permission denied); acc",
    ),
    "STL-10's names": (
        STL,
        "data/raw/stl10/class_names.txt",
        "class_names.txt: cannot be read (Permission den",
    ),
    "stl10": (
        STL,
        "data/raw/stl10",
        "data/raw/stl10/train_X.bin: cannot be read (Permission denied); accepted",
    ),
    "COCO's annotations": (
        BUILD,
        "coco/annotations/instances_val2017.json",
        "instances_val2017.json: Permission denied; accepted: COCO's instance annotations",
    ),
    "a COCO image": (
        BUILD,
        "coco/val2017/dogs.jpg",
        "dogs.jpg: unreadable image (Permission denied); unpack",
    ),
    "COCO": (
        ("call", "build"),
        "coco",
        "coco: cannot be read (Permission denied); accepted for --coco: a folder that holds annotations/",
    ),
    "the build's place": (
        BUILD,
        "new",
        "new: cannot be written (Permission denied); accepted: a folder in wh",
    ),
    "the marks": (
        ("call", "import"),
        "marks",
        "marks: cannot be read (Permission denied); accepted for --marks: a folder of stl10_train_CLASS",
    ),
    "a file of marks": (
        IMPORT,
        "marks/stl10_train_cat.json",
        "cat.json: cannot be read (Permission denied); a",
    ),
    "the import's place": (
        IMPORT,
        "new",
        "new: cannot be written (Permission denied); accepted: a folder in w",
    ),
    "the fetched files' place": (
        FETCH,
        "new",
        "new/out/train_X.bin: cannot be read (Permission denied); acc",
    ),
    "the fetched files' folder": (
        ("call", "fetch"),
        "mine",
        "mine: cannot be read (Permission denied); accepted for --raw: a folder, or a free name",
    ),
    "a fetched file": (
        (*FETCH[:-1], "mine"),
        "mine/train_X.bin",
        "train_X.bin: cannot be read (Permission denied); accepted: a file of yours, or none",
    ),
    "masks": (
        ("masks", "masks", "index"),
        "masks",
        "masks: cannot be read (Permission denied); accepted: a fo",
    ),
    "a split's masks": (
        ("masks", "masks", "index"),
        "masks/train",
        "train: cannot be read (Permission denied)",
    ),
    "a class's masks": (
        ("masks", "masks", "name"),
        "masks/train/cat",
        "cat: cannot be read (Permission denied",
    ),
    "one mask": (
        ("masks", "masks", "index"),
        "masks/train/0.png",
        "0.png: unreadable mask (Permission denied)",
    ),
    "the prepared set": (
        ("call", "check"),
        "mine",
        "mine: cannot be read (Permission denied); accepted: a prepared folder",
    ),
}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter and change, which is not true of pytest's own."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777)
    shutil.rmtree(folder)


def own_files(folder: Path) -> None:
    """What the cases above need beside a project: a place to write in, files of one's own, masks."""
    for name in ("new", "mine", "data/prepared", "reports", "masks/train/cat"):
        (folder / name).mkdir(parents=True)
    (folder / "mine" / "train_X.bin").write_bytes(b"")
    for name in ("masks/train/0.png", "masks/train/cat/0.png"):
        noise(0, 32).convert("L").save(folder / name)


def test_without_permission_one_line_names_the_file_or_folder(open_folder: Path) -> None:
    template = project(open_folder / "template")
    own_files(template)
    cases = []
    for number, (argv, denied, _) in enumerate(DENIED.values()):
        folder = shutil.copytree(template, open_folder / str(number))
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o777)
        (folder / denied).chmod(0)
        cases.append((str(folder), argv))
    open_folder.chmod(0o777)
    done = subprocess.run(
        [sys.executable, "-c", RUNNER + AS_NOBODY, str(template / "params.yaml")],
        **{"input": json.dumps(cases), "capture_output": True, "text": True, "env": ENVIRONMENT},
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    if isinstance(results, str):
        pytest.skip(results)
    wrong = {
        name: (code, said)
        for (name, (_, _, line)), (code, said) in zip(DENIED.items(), results, strict=True)
        if not (code == 1 and said.startswith("error: ") and said.count("\n") == 1 and line in said)
    }
    assert not wrong, json.dumps(wrong, indent=1)
