"""What tests share that run commands in a process of their own, in a project's folder."""

from __future__ import annotations

import os

from tests.datasets.raw_folders import ROOT

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
    "OMP_NUM_THREADS": "1",
}
BUILD = ("data", "build-segment6", "--coco", "coco", "--out", "new/out")
IMPORT = ("data", "import-masks", "stl10", "--marks", "marks", "--out", "new/out")
FETCH = ("data", "fetch", "stl10", "--raw", "new/out")

# Runs commands of the command line, the stage `prepare`, or what a command calls (where Typer itself would
# refuse an unreadable path), and returns what they said.
RUNNER = """
import contextlib, io, json, os, sys, traceback
from pathlib import Path
from dualperturb import cli
from dualperturb.errors import UserError
from stages import common, prepare

def masks(folder, match):
    from dualperturb.masks.files import find_masks
    from dualperturb.params.masks import MaskFilesParams
    files = MaskFilesParams(folder="x", match=match, missing="background", other_size="refuse")
    find_masks(Path(folder), "train", ["cat/0.jpg", "cat/1.jpg"], 2, 32, files)[slice(0, 2)]

def call(name):
    from dualperturb.datasets import check
    from dualperturb.datasets.raw import fetch
    from dualperturb.datasets.raw import segment6_build
    from dualperturb.datasets.raw import stl10_marks
    paths = Path("coco"), Path("new/out")
    if name == "build":
        segment6_build.build(*paths, {"train": 1, "test": 1}, 0, 1, None)
    elif name == "import":
        stl10_marks.import_masks(Path("marks"), Path("new/out"))
    elif name == "fetch":
        fetch.fetch("stl10", Path("mine"))
    else:
        check.check(Path("mine"))

def run(argv):
    sys.argv = ["dualperturb", *argv]
    if argv[0] == "prepare":
        sys.argv = list(argv)
        common.run(prepare.main)
    elif argv[0] == "masks":
        masks(*argv[1:])
    elif argv[0] == "call":
        call(argv[1])
    else:
        cli.main()

def said(argv):
    err, code = io.StringIO(), 0
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        try:
            run(argv)
        except SystemExit as ended:
            code = ended.code or 0
        except UserError as error:
            code = 1
            print(f"error: {error}", file=sys.stderr)
        except BaseException:
            code = -1
            traceback.print_exc()
    return code, err.getvalue()
"""
