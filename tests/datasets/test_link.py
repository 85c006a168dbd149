from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dualperturb.cli import app
from dualperturb.datasets.raw.link import Links, link
from dualperturb.errors import UserError


def copy(root: Path, second: str = "val", masks: bool = False) -> Path:
    """A data set of two classes, one file each in both splits."""
    for name in ("train", second) + (("masks/train", f"masks/{second}") if masks else ()):
        for animal in ("cat", "dog"):
            (root / name / animal).mkdir(parents=True)
            (root / name / animal / "1.png").write_text(f"{name} {animal}")
    return root


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "raw" / "folder"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("what goes here")
    return folder


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_files_are_linked_in_real_folders_beside_the_readme(tmp_path: Path, target: Path) -> None:
    root = copy(tmp_path / "copy")
    assert link("folder", root, target) == Links(made=4, kept=0, removed=0)
    linked = ["train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "val/dog/1.png"]
    assert files(target) == ["README.md", *linked]
    assert not (target / "train" / "cat").is_symlink()
    assert (target / "train" / "cat" / "1.png").readlink() == root / "train" / "cat" / "1.png"


def test_again_changes_nothing(tmp_path: Path, target: Path) -> None:
    root = copy(tmp_path / "copy", masks=True)
    assert link("folder", root, target).made == 8
    before = (target / "train" / "cat" / "1.png").lstat()
    assert link("folder", root, target) == Links(made=0, kept=8, removed=0)
    assert (target / "train" / "cat" / "1.png").lstat().st_ino == before.st_ino


def test_relative_root_and_folders_called_test(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copy(tmp_path / "copy", second="test", masks=True)
    monkeypatch.chdir(tmp_path)
    link("imagenet10", Path("copy"), target)
    assert (target / "val" / "cat" / "1.png").readlink() == root / "test" / "cat" / "1.png"
    assert (target / "masks" / "val" / "cat" / "1.png").read_text() == "masks/test cat"


def test_only_the_listed_classes_are_linked(tmp_path: Path, target: Path) -> None:
    root = copy(tmp_path / "copy")
    link("folder", root, target)
    assert link("folder", root, target, ["dog"]) == Links(made=0, kept=2, removed=2)
    assert files(target) == ["README.md", "train/dog/1.png", "val/dog/1.png"]
    assert not (target / "train" / "cat").exists()


def test_class_that_the_copy_lacks_is_named(tmp_path: Path, target: Path) -> None:
    with pytest.raises(UserError, match=r"copy/train: holds no class folder n01, which params.yaml lists"):
        link("imagenet10", copy(tmp_path / "copy"), target, ["dog", "n01"])
    assert files(target) == ["README.md"]


def test_links_of_an_earlier_copy_are_replaced_and_its_masks_removed(tmp_path: Path, target: Path) -> None:
    link("folder", copy(tmp_path / "old", masks=True), target)
    new = copy(tmp_path / "new")
    assert link("folder", new, target) == Links(made=4, kept=0, removed=4)
    assert not (target / "masks").exists()
    assert (target / "val" / "dog" / "1.png").readlink() == new / "val" / "dog" / "1.png"


def test_link_in_place_of_a_folder_is_replaced(tmp_path: Path, target: Path) -> None:
    (target / "train").symlink_to(tmp_path / "gone")
    link("folder", copy(tmp_path / "copy"), target)
    assert (target / "train" / "cat" / "1.png").read_text() == "train cat"


def test_file_of_the_users_own_is_refused_and_nothing_made(tmp_path: Path, target: Path) -> None:
    (target / "val" / "cat").mkdir(parents=True)
    (target / "val" / "cat" / "mine.png").write_text("mine")
    with pytest.raises(UserError, match=r"val/cat/mine.png: is a file of your own and no link"):
        link("folder", copy(tmp_path / "copy"), target)
    assert files(target) == ["README.md", "val/cat/mine.png"]


def test_command_copies_where_asked_to(tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = copy(tmp_path / "copy")
    arguments = ["data", "link", "folder", "--root", str(root), "--raw", str(target)]
    lines = [CliRunner().invoke(app, [*arguments, *more]).stdout for more in (["--copy"], ["--copy"], [])]
    made = ("4 copies made, 0 kept", "0 copies made, 4 kept", "4 links made, 0 kept")
    assert [line.strip() for line in lines] == [f"{target}: {counts}, 0 removed" for counts in made]
    (tmp_path / "labels.csv").write_text("file,wnid\n")
    refused = CliRunner().invoke(app, [*arguments, "--val-labels", "labels.csv"])
    assert str(refused.exception).startswith("--val-labels: folder needs none")


def test_what_is_passed_over_is_told(tmp_path: Path, target: Path) -> None:
    root = copy(tmp_path / "copy")
    for name in ("train/cat/.DS_Store", "train/labels.csv", "train/cat/2019/1.png", "train/cat/1.HEIC"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("")
    (root / "train" / "cat" / "gone.png").symlink_to("nowhere")
    arguments = ["data", "link", "folder", "--root", str(root), "--raw", str(target)]
    lines = CliRunner().invoke(app, arguments).stdout.splitlines()
    passed = f"3 passed over, neither photographs nor masks of any: {root}/train/labels.csv and 2 more"
    assert lines == [f"{target}: 6 links made, 0 kept, 0 removed", f"{target}: {passed}"]
    linked = [name for name in files(target) if name.startswith("train/cat")]
    assert linked == ["train/cat/1.HEIC", "train/cat/1.png", "train/cat/gone.png"]


def test_classes_are_linked_whatever_unicode_form_they_are_listed_in(tmp_path: Path, target: Path) -> None:
    listed, there = (unicodedata.normalize(form, "Möwe") for form in ("NFC", "NFD"))
    root = copy(tmp_path / "copy")
    for split in ("train", "val"):
        (root / split / "cat").rename(root / split / there)
    assert link("folder", root, target, [listed, "dog"]).made == 4


def test_raw_folder_itself_is_no_root(target: Path) -> None:
    with pytest.raises(UserError, match="is the raw folder itself"):
        link("folder", target, target)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ([], "no such folder"),
        (["train/cat"], r"holds no folder val/ \(or test/\)"),
        (["val/cat"], "holds no folder train/;"),
        (["train/cat", "val"], r"val: holds no class folder"),
    ],
)
def test_root_of_another_layout_is_refused(
    tmp_path: Path, target: Path, made: list[str], message: str
) -> None:
    for name in made:
        (tmp_path / "copy" / name).mkdir(parents=True)
    with pytest.raises(UserError, match=message):
        link("folder", tmp_path / "copy", target)
    assert files(target) == ["README.md"]


@pytest.mark.parametrize("dataset", ["shapes6", "cifar"])
def test_data_set_without_links_is_refused(tmp_path: Path, target: Path, dataset: str) -> None:
    with pytest.raises(UserError, match=f"found '{dataset}'; .*accepted: imagenet10, folder"):
        link(dataset, copy(tmp_path / "copy"), target)
