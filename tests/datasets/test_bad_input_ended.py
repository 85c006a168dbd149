"""A full disk, Ctrl-C and kill -9 in the middle of the work, and the stage as a program.

One clear line, nothing half written that is taken for whole later, and another run clears away what is left.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dualperturb.datasets.published import md5
from dualperturb.datasets.raw.fetch import PUBLISHED, fetch
from dualperturb.datasets.raw.segment6_build import build
from dualperturb.datasets.raw.stl10_marks import import_masks
from dualperturb.datasets.segment6 import survey
from tests.datasets.child_process import BUILD, ENVIRONMENT, FETCH, IMPORT, RUNNER
from tests.datasets.raw_folders import OBJECTS, project

pytest.importorskip("pycocotools", reason="the extra coco is not installed")

# The folder new/ becomes a disk of 160 KiB that only this process sees. What is downloaded is a file here.
ON_A_SMALL_DISK = """
import subprocess
from dataclasses import replace
from dualperturb.datasets.raw.fetch import PUBLISHED

os.chdir(sys.argv[1])
archive = Path("a.tar.gz").absolute()
archive.write_bytes(bytes(400_000))
PUBLISHED["stl10"] = replace(PUBLISHED["stl10"], url=archive.as_uri())
if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "none", "new"], capture_output=True).returncode:
    print(json.dumps("no small disk can be mounted"))
    sys.exit()
argv = json.load(sys.stdin)
code, err = said(argv)
print(json.dumps([code, err, os.listdir("new")]))
"""


@pytest.mark.parametrize("argv", [BUILD, IMPORT, FETCH], ids=("build", "import", "fetch"))
def test_a_full_disk_is_one_line_and_leaves_nothing_but_part_of_a_download(
    tmp_path: Path, argv: tuple[str, ...]
) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("no unshare to mount a small disk with")
    (project(tmp_path) / "new").mkdir()
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", RUNNER + ON_A_SMALL_DISK, str(tmp_path)],
        **{"input": json.dumps(argv), "capture_output": True, "text": True, "env": ENVIRONMENT},
    )
    if done.stderr.startswith("unshare:"):
        pytest.skip(done.stderr)
    result = json.loads(done.stdout.splitlines()[-1])
    if isinstance(result, str):
        pytest.skip(result)
    code, said, left = result
    assert code == 1 and left == ([".a.tar.gz.part"] if argv == FETCH else [])
    assert said == "error: new/out: No space left on device; free some and run again\n"


# Ends itself in the middle of its work, by the signal of this number.
END = """
import os, signal, shutil, sys
from pathlib import Path

number = int(sys.argv.pop())

def end():
    os.kill(os.getpid(), number)
"""
END_BUILD = """
from dualperturb.datasets.raw import segment6_build
save, saved = segment6_build._save, []
def save_and_end(*arguments):
    saved.append(save(*arguments))
    if len(saved) == 9:
        end()
    return saved[-1]
segment6_build._save = save_and_end
"""
END_IMPORT = """
from PIL import Image
save, saved = Image.Image.save, []
def save_and_end(self, path):
    save(self, path)
    saved.append(path)
    if len(saved) == 9:
        end()
Image.Image.save = save_and_end
"""
PUBLISH = """
from dataclasses import replace
from dualperturb.datasets.published import md5
from dualperturb.datasets.raw.fetch import PUBLISHED
archive = Path("archive.tar.gz").absolute()
PUBLISHED["stl10"] = replace(PUBLISHED["stl10"], url=archive.as_uri(), archive_md5=md5(archive))
"""
END_DOWNLOAD = """
def copy_half(answer, file, done, progress):
    file.write(answer.read(100))
    file.flush()
    end()
from dualperturb.datasets.raw import download
download._copy = copy_half
"""
END_UNPACKING = """
def copy_half(source, target):
    target.write(source.read(10))
    target.flush()
    end()
shutil.copyfileobj = copy_half
"""
ENDED = {
    "build": (END_BUILD, BUILD),
    "import": (END_IMPORT, IMPORT),
    "fetch, downloading": (PUBLISH + END_DOWNLOAD, FETCH),
    "fetch, unpacking": (PUBLISH + END_UNPACKING, FETCH),
}
# What an ended run keeps for the next one, beside the folder of its work.
KEPT = {"fetch, downloading": [".archive.tar.gz.part"], "fetch, unpacking": [".archive.tar.gz"]}


def ended(folder: Path, name: str, number: int) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder` that ends itself in its middle by a signal."""
    code, argv = ENDED[name]
    main = "from dualperturb import cli\ncli.main()"
    command = [sys.executable, "-c", END + code + main, *argv, str(number)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=ENVIRONMENT)


def again(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command, to its end, and what it is to have written."""
    out = folder / "new" / "out"
    if name == "build":
        build(folder / "coco", out, {"train": 3000, "test": 200}, 0, 256, None)
        assert sum(map(len, survey(out).items.values())) == 2 * OBJECTS
    elif name == "import":
        assert import_masks(folder / "marks", out).masks["train"] == OBJECTS == len(list(out.rglob("*.png")))
    else:
        archive, published = folder / "archive.tar.gz", PUBLISHED["stl10"]
        facts = {"url": archive.as_uri(), "archive_md5": md5(archive)}
        monkeypatch.setitem(PUBLISHED, "stl10", replace(published, **facts))
        assert fetch("stl10", out) == len(published.files)
        raw = folder / "data" / "raw" / "stl10"
        assert all((out / file).read_bytes() == (raw / file).read_bytes() for file in published.files)


@pytest.mark.parametrize("name", ENDED)
def test_nothing_half_written_is_taken_for_whole_after_a_run_was_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    project(tmp_path)
    shutil.make_archive(str(tmp_path / "archive"), "gztar", tmp_path / "data" / "raw", "stl10")
    interrupted = ended(tmp_path, name, signal.SIGINT)
    assert interrupted.returncode != 0 and "Traceback" not in interrupted.stderr, interrupted.stderr
    assert os.listdir(tmp_path / "new") == KEPT.get(name, [])
    killed = ended(tmp_path, name, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    *kept, left = sorted(os.listdir(tmp_path / "new"))
    assert kept == KEPT.get(name, []) and left.startswith(".out.")
    again(tmp_path, name, monkeypatch)
    assert os.listdir(tmp_path / "new") == ["out"]


def test_a_killed_build_leaves_the_earlier_one(tmp_path: Path) -> None:
    project(tmp_path)
    out = tmp_path / "new" / "out"
    build(tmp_path / "coco", out, {"train": 2, "test": 2}, 0, 256, None)
    assert ended(tmp_path, "build", signal.SIGKILL).returncode == -signal.SIGKILL
    assert sum(map(len, survey(out).items.values())) == 4


def test_the_stage_as_a_program_says_one_line(tmp_path: Path) -> None:
    (project(tmp_path) / "data/raw/segment6/masks/train_cat.png").write_bytes(b"")
    command = [sys.executable, "-m", "stages.prepare", "segment6"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == (
        "error: data/raw/segment6/masks/train_cat.png: unreadable image "
        "(no image format that can be read here); fetch or build it again\n"
    )
