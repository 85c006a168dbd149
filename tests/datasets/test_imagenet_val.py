from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from dualperturb.datasets.raw.link import Links, link
from dualperturb.errors import UserError

# ILSVRC2012 ID -> synset; the last has children, as the devkit's inner synsets have, and labels no image.
SYNSETS = {1: "n02119789", 2: "n02100735", 3: "n01440764", 4: "n00000004"}
LABELS = [3, 1, 3, 2, 1]  # of the images 1 to 5
CHOSEN = ["n01440764", "n02119789"]
DEVKIT = "ILSVRC2012_devkit_t12"
TRUTH = "data/ILSVRC2012_validation_ground_truth.txt"


def image(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def write_tree(root: Path) -> Path:
    """train/<wnid> of three synsets, and a flat val/ of five images."""
    for wnid in list(SYNSETS.values())[:3]:
        (root / "train" / wnid).mkdir(parents=True)
        (root / "train" / wnid / f"{wnid}_1.JPEG").write_text(wnid)
    (root / "val").mkdir()
    for number in range(1, len(LABELS) + 1):
        (root / "val" / image(number)).write_text(f"image {number}")
    return root


def write_devkit(folder: Path) -> Path:
    """The labels and, nested as in the real file, the list of synsets."""
    (folder / "data").mkdir(parents=True)
    (folder / TRUTH).write_text("".join(f"{label}\n" for label in LABELS))
    kinds = [(name, object) for name in ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children")]
    kinds += [(name, object) for name in ("children", "wordnet_height", "num_train_images")]
    synsets = np.zeros((len(SYNSETS), 1), dtype=kinds)
    for row, (number, wnid) in enumerate(SYNSETS.items()):
        inner = wnid == "n00000004"
        children = np.array([1.0, 2.0]) if inner else np.zeros((0, 0))
        synsets[row, 0] = (float(number), wnid, "a, b", "gloss", 2.0 * inner, children, 0.0, 1300.0)
    savemat(folder / "data" / "meta.mat", {"synsets": synsets})
    return folder


def csv_text(columns: str = "ImageId,PredictionString") -> str:
    lines = [columns]
    for number, label in reversed(list(enumerate(LABELS, start=1))):
        if columns == "file,wnid":
            lines.append(f"val/{image(number)},{SYNSETS[label]}")
        else:
            lines.append(f"{Path(image(number)).stem},{SYNSETS[label]} 1 2 30 40 {SYNSETS[label]} 5 6 7 8 ")
    return "\n".join(lines) + "\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "imagenet")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "raw"


def linked(target: Path) -> dict[str, list[str]]:
    """What lies under val/, by synset."""
    return {
        folder.name: sorted(path.name for path in folder.iterdir()) for folder in (target / "val").iterdir()
    }


EXPECTED = {"n01440764": [image(1), image(3)], "n02119789": [image(2), image(5)]}


@pytest.mark.parametrize("place", [f"imagenet/{DEVKIT}", DEVKIT, "imagenet"])
def test_flat_folder_is_sorted_by_the_devkits_labels(
    tmp_path: Path, root: Path, target: Path, place: str
) -> None:
    write_devkit(tmp_path / place)
    assert link("imagenet10", root, target, CHOSEN) == Links(made=6, kept=0, removed=0)
    assert linked(target) == EXPECTED
    assert sorted(path.name for path in (target / "train").iterdir()) == CHOSEN
    assert (target / "val" / "n01440764" / image(3)).readlink() == root / "val" / image(3)
    assert link("imagenet10", root, target, CHOSEN) == Links(made=0, kept=6, removed=0)


@pytest.mark.parametrize("columns", ["ImageId,PredictionString", "file,wnid"])
@pytest.mark.parametrize("copy", [False, True])
def test_flat_folder_is_sorted_by_a_csv(
    tmp_path: Path, root: Path, target: Path, columns: str, copy: bool
) -> None:
    labels = tmp_path / "elsewhere" / "labels.csv"
    labels.parent.mkdir()
    labels.write_text("\ufeff" + csv_text(columns).replace("\n", "\r\n"))
    link("imagenet10", root, target, CHOSEN, copy=copy, val_labels=labels)
    assert linked(target) == EXPECTED
    assert (target / "val" / "n01440764" / image(1)).is_symlink() is not copy


def test_kaggles_archive_is_linked_from_its_top(tmp_path: Path, target: Path) -> None:
    top = tmp_path / "kaggle"
    write_tree(top / "ILSVRC" / "Data" / "CLS-LOC")
    (top / "ILSVRC" / "Data" / "CLS-LOC" / "test").mkdir()
    (top / "LOC_val_solution.csv").write_text(csv_text())
    for root in (top, top / "ILSVRC", top / "ILSVRC" / "Data" / "CLS-LOC"):
        link("imagenet10", root, target, CHOSEN)
        assert linked(target) == EXPECTED


@pytest.mark.parametrize("given", ["", "data", TRUTH])
def test_devkit_elsewhere_is_named_by_folder_or_file(
    tmp_path: Path, root: Path, target: Path, given: str
) -> None:
    devkit = write_devkit(tmp_path / "elsewhere" / "kit")
    link("imagenet10", root, target, CHOSEN, val_labels=devkit / given)
    assert linked(target) == EXPECTED


def test_all_classes_without_a_list(tmp_path: Path, root: Path, target: Path) -> None:
    write_devkit(root / DEVKIT)
    link("imagenet10", root, target)
    assert linked(target) == {**EXPECTED, "n02100735": [image(4)]}


def test_validation_images_in_folders_need_no_labels(root: Path, target: Path) -> None:
    for number in range(1, 6):
        (root / "val" / image(number)).unlink()
    for wnid in CHOSEN:
        (root / "val" / wnid).mkdir()
        (root / "val" / wnid / "1.JPEG").write_text(wnid)
    assert link("imagenet10", root, target, CHOSEN).made == 4
    with pytest.raises(UserError, match=r"--val-labels: .*val is no flat folder"):
        link("imagenet10", root, target, CHOSEN, val_labels=root)


def test_labels_that_are_not_found(tmp_path: Path, root: Path, target: Path) -> None:
    with pytest.raises(
        UserError, match=r"val: a flat folder, and its labels were not found .*--val-labels PATH"
    ):
        link("imagenet10", root, target, CHOSEN)
    with pytest.raises(
        UserError, match=r"--val-labels .*gone: no labels there; accepted: the devkit's folder"
    ):
        link("imagenet10", root, target, CHOSEN, val_labels=tmp_path / "gone")
    assert not target.exists()


def test_labels_of_another_data_set_are_refused(root: Path, target: Path) -> None:
    with pytest.raises(UserError, match="--val-labels: folder needs none; accepted: with imagenet10 alone"):
        link("folder", root, target, val_labels=root)


def test_empty_validation_folder(root: Path, target: Path) -> None:
    for number in range(1, 6):
        (root / "val" / image(number)).unlink()
    with pytest.raises(UserError, match=r"val: holds neither class folders nor images"):
        link("imagenet10", root, target, CHOSEN)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (["n09999999"], r"imagenet/train: holds no class folder n09999999, which params\.yaml lists"),
        (
            ["n00000004"],
            r"ground_truth\.txt: labels no image of .*val as n00000004, which params\.yaml lists",
        ),
    ],
)
def test_unknown_synset_is_named(root: Path, target: Path, chosen: list[str], message: str) -> None:
    write_devkit(root / DEVKIT)
    (root / "train" / "n00000004").mkdir()
    with pytest.raises(UserError, match=message):
        link("imagenet10", root, target, chosen)
    assert not target.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3\n1\n3\n2\n", r"truth\.txt: holds no label of .*val_00000005\.JPEG; it labels 4 images"),
        (
            "3\n9\n3\n2\n1\n",
            r"truth\.txt: line 2: found '9'; accepted: an ILSVRC2012 ID of meta\.mat, 1 to 3",
        ),
        ("3\n4\n3\n2\n1\n", "line 2: found '4'"),  # a synset with children
        ("3\n0\n3\n2\n1\n", "line 2: found '0'"),
        ("3\n1\n\n2\n1\n", "line 3: found ''"),
        ("3\n1\n-3\n2\n1\n", "line 3: found '-3'"),
        ("3\n1\n²\n2\n1\n", "line 3: found '²'"),
        ("n01440764\n", "line 1: found 'n01440764'"),
        ("", "holds no label of .*00000001"),
    ],
)
def test_malformed_list_of_the_devkit(root: Path, target: Path, text: str, message: str) -> None:
    (write_devkit(root / DEVKIT) / TRUTH).write_text(text)
    with pytest.raises(UserError, match=message):
        link("imagenet10", root, target, CHOSEN)


def test_image_of_another_name_has_no_label(root: Path, target: Path) -> None:
    write_devkit(root / DEVKIT)
    (root / "val" / "valprep.sh").write_text("passed over")
    (root / "val" / "holiday.jpg").write_text("image")
    with pytest.raises(UserError, match=r"holds no label of .*val/holiday\.jpg; it labels 5 images"):
        link("imagenet10", root, target, CHOSEN)


@pytest.mark.parametrize("damage", ["absent", "text", "cut", "other", "leafless"])
def test_list_of_synsets_that_cannot_be_read(root: Path, target: Path, damage: str) -> None:
    meta = write_devkit(root / DEVKIT) / "data" / "meta.mat"
    if damage == "absent":
        meta.unlink()
    elif damage == "text":
        meta.write_text("no list of synsets " * 20)
    elif damage == "cut":
        meta.write_bytes(meta.read_bytes()[:400])
    elif damage == "other":
        savemat(meta, {"synsets": np.arange(3.0)})
    else:
        savemat(meta, {"synsets": np.zeros(0, dtype=[("ILSVRC2012_ID", object), ("num_children", object)])})
    expected = (
        "not found; it belongs beside" if damage == "absent" else "cannot be read|lists no synset without"
    )
    with pytest.raises(UserError, match=rf"data/meta\.mat: ({expected})") as caught:
        link("imagenet10", root, target, CHOSEN)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "image,label\nx,n01440764\n",
            r"found the columns 'image,label'; accepted: ImageId,PredictionString or",
        ),
        ("", "found the columns ''"),
        (
            "file,wnid\nILSVRC2012_val_00000001.JPEG,tench\n",
            "line 2: found 'ILSVRC.*,tench'; accepted: file,wnid",
        ),
        ("file,wnid\n\na.JPEG\n", "line 3: found 'a.JPEG'"),
        ("ImageId,PredictionString\nILSVRC2012_val_00000001,\n", "line 2: found 'ILSVRC2012_val_00000001,'"),
        (
            csv_text() + "ILSVRC2012_val_00000002,n01440764 1 2 3 4\n",
            "line 7: a second label of ILSV.*_00000002",
        ),
        (
            "\n".join(csv_text().split("\n")[:-2]),
            r"holds no label of .*val_00000001\.JPEG; it labels 4 images",
        ),
    ],
)
def test_malformed_csv(root: Path, target: Path, text: str, message: str) -> None:
    (root / "LOC_val_solution.csv").write_text(text)
    with pytest.raises(UserError, match=r"LOC_val_solution\.csv: " + message):
        link("imagenet10", root, target, CHOSEN)


def test_csv_that_is_no_text(root: Path, target: Path) -> None:
    (root / "LOC_val_solution.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UserError, match=r"LOC_val_solution\.csv: is no text"):
        link("imagenet10", root, target, CHOSEN)
