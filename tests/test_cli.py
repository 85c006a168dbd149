from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dualperturb import __version__, cli
from dualperturb.core.images import write_meta, write_split
from dualperturb.params import load_params

PARAMS = Path(__file__).resolve().parents[1] / "params.yaml"


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit code of `dualperturb ARGUMENTS`."""
    monkeypatch.setattr(sys, "argv", ["dualperturb", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    row = (np.full((3, 4, 4), 9, np.uint8), 0, np.ones((1, 4, 4), np.bool_))
    splits = {
        split: write_split(tmp_path, split, 4, [row] * count) for split, count in (("train", 3), ("test", 2))
    }
    meta = {"name": "folder", "side": 4, "source": "photographs", "skipped": ["train/x/[b].jpg: no image"]}
    write_meta(tmp_path, class_names=["cat[0]"], folders=["n01"], splits=splits, **meta)
    return tmp_path


COMMANDS = ("link", "check", "fetch", "import-masks")


@pytest.mark.parametrize("arguments", [(), ("data",), *(("data", command) for command in COMMANDS)])
def test_help_on_every_level(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    assert call(monkeypatch, *arguments, "--help") == 0
    assert "Usage" in capsys.readouterr().out


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"dualperturb {__version__}\n"


@pytest.mark.parametrize(
    "command",
    [
        "workflow check",
        "workflow verify",
        "data fetch stl10",
        "data import-masks stl10 --marks .",
        "data build-segment6 --coco .",
        "data link folder --root .",
        "data check folder",
    ],
)
def test_every_command_checks_the_parameters_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, command: str
) -> None:
    shipped = PARAMS.read_text(encoding="utf-8")
    wrong = shipped.replace("\n- L2\n- Linf\n", "\n").replace("\nnorms: ", "\nnorms: L2 ")
    (tmp_path / "params.yaml").write_text(wrong, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *command.split()) == 1
    line = "error: params.yaml: norms: found 'L2'; accepted: a list of at least one value\n"
    assert capsys.readouterr().err == line


def test_command_line_starts_without_heavy_modules() -> None:
    heavy = ("torch", "pandas", "matplotlib")
    code = f"import sys, dualperturb.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_link_counts_the_links(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("train", "val"):
        (tmp_path / "copy" / name / "cat").mkdir(parents=True)
        (tmp_path / "copy" / name / "cat" / "1.png").write_text("image")
    monkeypatch.chdir(tmp_path)
    arguments = ("data", "link", "folder", "--root", str(tmp_path / "copy"), "--raw", "raw")
    assert call(monkeypatch, *arguments) == 0
    assert capsys.readouterr().out == "raw: 2 links made, 0 kept, 0 removed\n"
    assert (tmp_path / "raw" / "train" / "cat" / "1.png").is_symlink()


def test_fetch_says_where_the_files_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked: list[tuple[str, Path]] = []

    def fetch(dataset: str, raw: Path, progress: object) -> int:
        asked.append((dataset, raw))
        return 5

    monkeypatch.setattr("dualperturb.datasets.raw.fetch.fetch", fetch)
    assert call(monkeypatch, "data", "fetch", "stl10") == 0
    assert capsys.readouterr().out == "data/raw/stl10: 5 of its files fetched\n"
    assert call(monkeypatch, "data", "fetch", "stl10", "--raw", str(tmp_path)) == 0
    assert asked == [("stl10", Path("data/raw/stl10")), ("stl10", tmp_path)]


def test_import_masks_counts_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "stl10_test_cat.json").write_text('{"3": {"cat_0": [[1, 1]]}}')
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "data", "import-masks", "stl10", "--marks", ".") == 0
    assert capsys.readouterr().out == "data/raw/stl10/masks: 0 train, 1 test masks from 1 files\n"
    assert (tmp_path / "data/raw/stl10/masks/test/00003.png").is_file()


def test_link_takes_the_classes_that_params_yaml_lists(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    listed = load_params(PARAMS).of("imagenet10").data.classes
    for name in ("train", "val"):
        for wnid in (*listed, "n00000001"):
            (tmp_path / "copy" / name / wnid).mkdir(parents=True)
            (tmp_path / "copy" / name / wnid / "1.JPEG").write_text("image")
    monkeypatch.chdir(PARAMS.parent)
    arguments = (
        "data",
        "link",
        "imagenet10",
        "--root",
        str(tmp_path / "copy"),
        "--raw",
        str(tmp_path / "raw"),
    )
    assert call(monkeypatch, *arguments) == 0
    assert "20 links made" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "raw" / "train").iterdir()) == sorted(listed)


def test_check_prints_counts_and_writes_the_sheet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], prepared: Path
) -> None:
    sheet = prepared / "sheets" / "folder.png"
    arguments = ("data", "check", "folder", "--prepared", str(prepared), "--sheet", str(sheet))
    assert call(monkeypatch, *arguments) == 0
    out = capsys.readouterr().out
    assert "cat[0] (n01)" in out and "0.0%" in out and "skipped: train/x/[b].jpg: no image" in out
    assert Image.open(sheet).format == "PNG"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("data", "check", "folder", "--prepared", "gone"), "error: gone/meta.json: not found; "),
        (("data", "link", "folder", "--root", "gone"), "error: --root gone: no such folder; "),
        (("data", "fetch", "shapes6"), "error: dataset: found 'shapes6'; accepted: cifar10, stl10"),
        (
            ("data", "import-masks", "folder", "--marks", "x"),
            "error: dataset: found 'folder'; accepted: stl10",
        ),
        (
            ("data", "import-masks", "stl10", "--marks", "gone"),
            "error: gone: holds no stl10_train_CLASS.json ",
        ),
    ],
)
def test_mistake_is_one_line_and_exit_code_one(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    arguments: tuple[str, ...],
    line: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith(line) and error.count("\n") == 1


def test_prepared_folder_of_another_data_set_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], prepared: Path
) -> None:
    assert call(monkeypatch, "data", "check", "shapes6", "--prepared", str(prepared)) == 1
    assert "holds the data set folder, not shapes6" in capsys.readouterr().err


def test_a_contact_sheet_larger_than_any_picture_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], prepared: Path
) -> None:
    arguments = ("data", "check", "folder", "--prepared", str(prepared), "--columns", "100000000")
    assert call(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert "--columns" in error and "Traceback" not in error
