from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dualperturb.core.images import load_names, load_split
from dualperturb.datasets import prepare, segment6
from dualperturb.datasets.check import check
from dualperturb.datasets.segment6_layout import CLASS_NAMES
from dualperturb.errors import UserError
from dualperturb.params import load_params
from tests.sections import with_section

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"
Names = list[tuple[str, str, str]]


def picture(path: Path, value: int, side: int = 32, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (side, side), (value,) * 3 if mode == "RGB" else value).save(path)


def halved(path: Path, value: int = 255, side: int = 32) -> None:
    """A mask whose left half is foreground."""
    pixels = np.zeros((side, side), np.uint8)
    pixels[:, : side // 2] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_list(path: Path, rows: Names, header: str = "file,label,partition") -> None:
    path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")


def all_rows() -> Names:
    """Two images a class for training, one for the test, in an order that no reader would choose."""
    rows = [
        (f"{split}_{name}_{index}.png", name, split)
        for split, count in (("test", 1), ("train", 2))
        for name in reversed(CLASS_NAMES)
        for index in reversed(range(count))
    ]
    return rows


def published(root: Path, rows: Names, images: str = "images", masks: str = "masks") -> Path:
    for value, (name, _, _) in enumerate(rows):
        picture(root / images / name, value)
        halved(root / masks / name)
    write_list(root / "partitions.csv", rows)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return published(tmp_path / "segment6", all_rows())


def refusal(root: Path) -> str:
    """The one line with which a set is refused, in the survey or while it is read."""
    with pytest.raises(UserError) as caught:
        found = segment6.survey(root)
        for split in ("train", "test"):
            list(segment6.read(segment6.chosen(found, split, "all")))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rows_come_by_class_and_file_name_with_their_masks(root: Path) -> None:
    found = segment6.survey(root)
    rows = list(segment6.read(segment6.chosen(found, "train", "all")))
    values = {name: value for value, (name, _, _) in enumerate(all_rows())}
    expected = [values[f"train_{name}_{index}.png"] for name in CLASS_NAMES for index in range(2)]
    assert [int(image[0, 0, 0]) for image, _, _ in rows] == expected
    assert [label for _, label, _ in rows] == sorted([*range(6)] * 2)
    for image, _, mask in rows:
        assert image.shape == (3, 32, 32) and image.dtype == np.uint8
        assert mask is not None and mask.shape == (1, 32, 32) and mask.dtype == np.bool_
        assert mask[..., :16].all() and not mask[..., 16:].any()


@pytest.mark.parametrize(
    ("header", "images", "masks"),
    [
        ("Filename, Class ,Split", "imgs", "segmentations"),
        ("image,category,set", "Image", "Mask"),
        ("name,label,partition", "img", "seg"),
    ],
)
def test_names_of_columns_and_folders_may_differ(
    tmp_path: Path, header: str, images: str, masks: str
) -> None:
    root = published(tmp_path, all_rows(), images, masks)
    write_list(
        root / "partitions.csv",
        [(f"{images}/{name}", label.title(), split.upper()) for name, label, split in all_rows()],
        header,
    )
    found = segment6.survey(root)
    assert {split: len(items) for split, items in found.items.items()} == {"train": 12, "test": 6}


def test_mask_may_have_another_suffix_and_ones_for_foreground(root: Path) -> None:
    (root / "masks" / "test_cat_0.png").unlink()
    halved(root / "masks" / "test_cat_0.bmp", value=1)
    rows = list(segment6.read(segment6.chosen(segment6.survey(root), "test", "all")))
    mask = rows[CLASS_NAMES.index("cat")][2]
    assert mask is not None and mask.mean() == 0.5


def test_names_are_compared_in_one_unicode_form(root: Path) -> None:
    (root / "images" / "test_cat_0.png").rename(root / "images" / unicodedata.normalize("NFD", "é.png"))
    (root / "masks" / "test_cat_0.png").rename(root / "masks" / unicodedata.normalize("NFC", "é.png"))
    names = {"test_cat_0.png": unicodedata.normalize("NFC", "é.png")}
    write_list(root / "partitions.csv", [(names.get(name, name), *rest) for name, *rest in all_rows()])
    assert len(segment6.survey(root).items["test"]) == 6


def test_counts_that_deviate_from_the_published_ones_are_named(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = segment6.survey(root).deviations
    assert first.startswith("train: 12 images, 18000 published; 2 of train, 2 of bird, ")
    assert second.startswith("test: 6 images, 1200 published; 1 of train, ")
    monkeypatch.setattr(segment6, "PUBLISHED", {"train": 2, "test": 1})
    assert segment6.survey(root).deviations == ()


def test_validation_images_are_the_test_where_there_is_no_other(root: Path) -> None:
    rows = [(name, label, "val" if split == "test" else split) for name, label, split in all_rows()]
    write_list(root / "partitions.csv", rows)
    assert len(segment6.survey(root).items["test"]) == 6
    rows = [
        (name, label, "val" if "_0" in name and split == "train" else split)
        for name, label, split in all_rows()
    ]
    write_list(root / "partitions.csv", rows)
    found = segment6.survey(root)
    assert {split: len(items) for split, items in found.items.items()} == {"train": 6, "test": 6}
    assert found.deviations[-1] == "val: 6 images left out; the published set has no such partition"


def test_the_first_of_each_class_can_be_asked_for(root: Path) -> None:
    found = segment6.survey(root)
    items = segment6.chosen(found, "train", 1)
    assert [item.image.name for item in items] == [f"train_{name}_0.png" for name in CLASS_NAMES]
    message = r"segment6\.data\.test_per_class: found 2; accepted: up to 1, the test images of train"
    with pytest.raises(UserError, match=message):
        segment6.chosen(found, "test", 2)


def truncated(path: Path) -> None:
    """A JPEG that ends in the middle, whatever its name."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, format="JPEG", quality=95)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def drop_row(root: Path) -> None:
    write_list(root / "partitions.csv", [row for row in all_rows() if row[0] != "train_dog_1.png"])


def repeat_row(root: Path) -> None:
    write_list(root / "partitions.csv", [*all_rows(), ("train_dog_1.png", "cat", "test")])


def replace_row(new: tuple[str, str, str]) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        write_list(root / "partitions.csv", [new, *all_rows()[1:]])

    return change


def change_file(name: str, content: bytes | None) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / name).unlink()
        if content is not None:
            (root / name).write_bytes(content)

    return change


def to_file(name: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        (root / name).rename(root / "elsewhere")
        (root / name).write_text("")

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_row, "partitions.csv: does not list the image train_dog_1.png; accepted: a row for each"),
        (repeat_row, "partitions.csv: line 20: train_dog_1.png is listed twice"),
        (
            replace_row(("test_clock_0.png", "zebra", "test")),
            "line 2: found class 'zebra'; accepted: train, bird, cat, dog, toilet, clock",
        ),
        (
            replace_row(("test_clock_0.png", "clock", "dev")),
            "line 2: found partition 'dev'; accepted: train, val, test",
        ),
        (replace_row(("test_clock_0.png", "clock", "")), "line 2: found partition ''; accepted:"),
        (replace_row(("absent.png", "clock", "test")), "lists absent.png, which is not among the images"),
        (replace_row(("../a.png", "clock", "test")), "line 2: found file '../a.png'; accepted: the name of"),
        (change_file("images/test_cat_0.png", None), "lists test_cat_0.png, which is not among the images"),
        (change_file("masks/test_cat_0.png", None), "images/test_cat_0.png: has no mask; accepted: one of"),
        (lambda root: halved(root / "masks" / "x.png"), "masks/x.png: is the mask of no image; accepted:"),
        (
            lambda root: halved(root / "masks" / "test_cat_0.bmp"),
            "is a mask of the same image; accepted: one",
        ),
        (
            lambda root: truncated(root / "images" / "test_cat_0.png"),
            "images/test_cat_0.png: unreadable image (",
        ),
        (change_file("images/test_cat_0.png", b""), "images/test_cat_0.png: unreadable image (no image"),
        (change_file("masks/test_cat_0.png", b"P5"), "masks/test_cat_0.png: unreadable image ("),
        (
            lambda root: picture(root / "images" / "test_cat_0.png", 5, side=33),
            "images/test_cat_0.png: the image is 33x33 pixels; accepted: 32x32",
        ),
        (
            lambda root: halved(root / "masks" / "test_cat_0.png", side=16),
            "masks/test_cat_0.png: the mask is 16x16 pixels; accepted: 32x32",
        ),
        (
            lambda root: picture(root / "masks" / "test_cat_0.png", 100, mode="L"),
            "masks/test_cat_0.png: holds the value 100; accepted: 0 and one other value, with soft edges",
        ),
        (
            lambda root: write_list(root / "partitions.csv", all_rows(), "file,animal,partition"),
            "no column for the class among file, animal, partition; accepted: class, class_name, category, ",
        ),
        (
            lambda root: (root / "partitions.csv").write_bytes(b"file,label,partition\n\xff\xfe,cat,test\n"),
            "partitions.csv: cannot be read as a table (",
        ),
        (lambda root: (root / "partitions.csv").write_text(""), "no column for the file among none"),
        (change_file("partitions.csv", None), "no csv file that lists the partitions; unpack the published"),
        (lambda root: (root / "b.csv").write_text(""), "found b.csv, partitions.csv; accepted: one csv file"),
        (to_file("images"), "segment6/images: is a file; accepted: the folder of images"),
        (lambda root: (root / "masks").rename(root / "m"), "segment6: no folder of masks; accepted: masks,"),
        (
            lambda root: write_list(
                root / "partitions.csv", [(name, label, "train") for name, label, _ in all_rows()]
            ),
            "partitions.csv: no image of the partition test; accepted: train and test",
        ),
    ],
)
def test_a_set_that_does_not_fit_together_is_refused_in_one_line(
    root: Path, change: Callable[[Path], object], message: str
) -> None:
    change(root)
    assert message in refusal(root)


def test_a_root_that_is_absent_or_a_file_says_how_to_get_the_set(tmp_path: Path) -> None:
    how = "unpack the published data set there, or build it: dualperturb data build-segment6 --coco DIR"
    assert refusal(tmp_path / "absent").startswith(f"{tmp_path / 'absent'}: not found; {how}")
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "file", tmp_path / "file" / "segment6"):
        assert refusal(root).startswith(f"{tmp_path / 'file'}: is a file; {how}")


def test_prepared_set_holds_the_rows_their_names_and_the_deviations(root: Path, tmp_path: Path) -> None:
    meta = prepare("segment6", load_params(PARAMS), root, tmp_path / "out")
    assert meta["class_names"] == list(CLASS_NAMES) and len(meta["deviations"]) == 2
    report = check(tmp_path / "out")
    assert report.splits["train"].counts == (2,) * 6 and report.splits["test"].background == 0.5
    assert list(report.deviations) == meta["deviations"]
    train = load_split(tmp_path / "out", "train")
    assert train.side == 32 and train.foreground is not None
    names = load_names(tmp_path / "out", "train")
    assert names == [f"{name}/train_{name}_{index}.png" for name in CLASS_NAMES for index in range(2)]


def test_limits_come_from_the_parameters(root: Path, tmp_path: Path) -> None:
    limited = with_section(load_params(PARAMS), "segment6", "data", train_per_class=1)
    meta = prepare("segment6", limited, root, tmp_path / "out")
    assert meta["splits"]["train"]["count"] == 6 and meta["splits"]["test"]["count"] == 6


def test_refused_set_leaves_no_prepared_folder(root: Path, tmp_path: Path) -> None:
    (root / "masks" / "train_cat_0.png").write_bytes(b"")
    with pytest.raises(UserError, match="train_cat_0.png: unreadable image"):
        prepare("segment6", load_params(PARAMS), root, tmp_path / "prepared" / "segment6")
    assert list((tmp_path / "prepared").iterdir()) == []
