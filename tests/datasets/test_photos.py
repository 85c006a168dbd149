from __future__ import annotations

import io
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from dualperturb.datasets.photos import Notes, read
from dualperturb.datasets.pool import decoding
from dualperturb.datasets.reading.decode import UnreadableError, read_photo
from dualperturb.datasets.reading.photo_folders import survey
from dualperturb.errors import UserError
from dualperturb.params.data import PhotoData

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared"


def spec(**changes: object) -> PhotoData:
    default = {"classes": "all", "resize": 16, "side": 12, "unreadable": "refuse"}
    return PhotoData.model_validate({**default, "train_per_class": "all", "test_per_class": "all", **changes})


def save(path: Path, image: Image.Image | None = None, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or Image.new("RGB", (24, 16), (200, 100, 50))).save(path, **options)
    return path


def tree(root: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 3, second: str = "val") -> Path:
    for split in ("train", second):
        for name in classes:
            for index in range(count):
                save(root / split / name / f"{index}.jpg", Image.new("RGB", (24, 16), (40 * index,) * 3))
    return root


def rows(
    root: Path, split: str = "train", skipped: list[str] | None = None, processes: int = 1, **changes: object
) -> list:
    chosen = spec(**changes)
    with decoding(processes) as decode:
        notes = Notes(skipped=[] if skipped is None else skipped)
        return list(read(survey(root, chosen), split, chosen, notes, decode))


def colour(path: Path) -> list[int]:
    """The value of each channel at the centre."""
    return [int(value) for value in read_photo(path, None, 16, 12)[0][:, 6, 6]]


def test_rows_are_square_uint8_by_class_and_file_name(tmp_path: Path) -> None:
    found = rows(tree(tmp_path))
    assert [label for _, label, _ in found] == [0, 0, 0, 1, 1, 1]
    assert all(pixels.shape == (3, 12, 12) and pixels.dtype == np.uint8 for pixels, _, _ in found)
    assert [int(pixels[0, 0, 0]) for pixels, _, _ in found[:3]] == [0, 40, 80]
    assert all(mask is None for _, _, mask in found)


def test_crop_is_the_centre_of_the_resized_image(tmp_path: Path) -> None:
    stripes = np.zeros((64, 128, 3), np.uint8)
    # The crop of side = resize spans columns 32 to 96: its left half is red.
    stripes[:, 32:64, 0] = 255
    pixels = read_photo(save(tmp_path / "a.png", Image.fromarray(stripes)), None, 16, 16).pixels
    assert (pixels[0, :, 1:6] > 250).all() and (pixels[0, :, 10:] < 5).all()


def test_resize_agrees_with_resize_then_crop(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 144, 3), dtype=np.uint8)
    path = save(tmp_path / "a.png", Image.fromarray(noise))
    # 144x96 -> 48x32, and the centre 24x24 of that starts at whole pixels, where both ways are the same
    usual = Image.fromarray(noise).resize((48, 32), Image.Resampling.BICUBIC).crop((12, 4, 36, 28))
    difference = read_photo(path, None, 32, 24)[0].astype(int) - np.asarray(usual).transpose(2, 0, 1)
    assert np.abs(difference).max() <= 1


def test_small_image_is_enlarged(tmp_path: Path) -> None:
    assert read_photo(save(tmp_path / "a.png", Image.new("RGB", (3, 2), "red")), None, 16, 12)[0].shape == (
        3,
        12,
        12,
    )


def test_grey_image_gives_three_equal_channels(tmp_path: Path) -> None:
    assert colour(save(tmp_path / "a.png", Image.new("L", (24, 16), 77))) == [77, 77, 77]


def test_cmyk_jpeg_gives_rgb(tmp_path: Path) -> None:
    red, green, blue = colour(save(tmp_path / "a.jpg", Image.new("CMYK", (24, 16), (0, 255, 255, 0))))
    assert red > 230 and green < 25 and blue < 25


def test_palette_png_under_a_jpeg_name_opens(tmp_path: Path) -> None:
    image = Image.new("RGB", (24, 16), (10, 200, 30)).convert("P", palette=Image.Palette.ADAPTIVE)
    assert colour(save(tmp_path / "a.JPEG", image, format="PNG")) == [10, 200, 30]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_are_white(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (24, 16), (0, 0, 0, 0)).convert(mode)
    options = {"transparency": 0} if mode == "P" else {}
    assert colour(save(tmp_path / "a.png", image, **options)) == [255, 255, 255]


def test_sixteen_bit_grey_keeps_its_brightness(tmp_path: Path) -> None:
    image = Image.fromarray(np.full((16, 24), 60000, np.uint16))
    assert colour(save(tmp_path / "a.png", image)) == [233, 233, 233]  # 60000 / 257


def test_floating_point_pixels_are_unreadable(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="floating-point"):
        read_photo(save(tmp_path / "a.tif", Image.new("F", (24, 16), 0.5)), None, 16, 12)


def test_exif_rotation_is_applied_to_the_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side: turn clockwise to show
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[8:] = 255  # stored: bottom white; shown: left white
    path = save(tmp_path / "a.png", Image.fromarray(pixels), exif=exif)
    shown = read_photo(path, None, 16, 16)[0][0]
    assert (shown[:, :7] == 255).all() and (shown[:, 9:] == 0).all()


def damaged(path: Path, kind: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "truncated":
        buffer = io.BytesIO()
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(buffer, "JPEG")
        path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    elif kind == "dangling":
        path.symlink_to("nowhere.jpg")
    else:
        path.write_bytes(b"" if kind == "empty" else b"not a picture at all\n")
    return path


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "dangling"])
def test_unreadable_image_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    damaged(tree(tmp_path) / "train" / "dog" / "1b.jpg", kind)
    with pytest.raises(UserError, match=r"train/dog/1b\.jpg: unreadable image .*unreadable: skip"):
        rows(tmp_path)


@pytest.mark.parametrize("kind", ["truncated", "empty", "text", "dangling"])
def test_unreadable_image_is_skipped_and_listed(tmp_path: Path, kind: str) -> None:
    damaged(tree(tmp_path) / "train" / "dog" / "1b.jpg", kind)
    skipped: list[str] = []
    assert len(rows(tmp_path, skipped=skipped, unreadable="skip")) == 6
    assert len(skipped) == 1 and skipped[0].startswith("train/dog/1b.jpg: ")


def test_other_files_hidden_ones_and_folders_are_passed_over_and_listed(tmp_path: Path) -> None:
    folder = tree(tmp_path) / "train" / "cat"
    (folder / "notes.txt").write_text("not a picture")
    damaged(folder / ".hidden.jpg", "text")
    (folder / "sub.jpg").mkdir()
    (tmp_path / "train" / ".cache").mkdir()
    (tmp_path / "val" / "labels.csv").write_text("1")
    assert len(rows(tmp_path)) == 6
    passed_over = ("train/.cache", "train/cat/.hidden.jpg", "train/cat/notes.txt", "train/cat/sub.jpg")
    assert survey(tmp_path, spec()).passed_over == (*passed_over, "val/labels.csv")


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(
            ("a.HEIC", HEIC),
            ("a", HEIC),
            ("a.svg", b"<svg/>"),
            ("a", b'<?xml version="1.0"?><svg/>'),
            ("a.CR2", b""),
        ),
        *(("a", b"8BPS\0\1"), ("a.jxl", b"\xff\x0a"), ("a", b"\xff\xd8\xff\xe0")),
    ],
)
def test_what_looks_like_a_photograph_is_unreadable_and_not_passed_over(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tree(tmp_path) / "train" / "cat" / name).write_bytes(content)
    skipped: list[str] = []
    assert len(rows(tmp_path, skipped=skipped, unreadable="skip")) == 6
    assert [line.partition(": ")[0] for line in skipped] == [f"train/cat/{name}"]


@pytest.mark.parametrize(
    ("name", "tags"), [("a.NEF", {}), ("a.dat", {254: 1}), ("a.tif", {50706: b"\1\4\0\0"})]
)
def test_the_preview_in_a_cameras_raw_file_is_no_photograph(
    tmp_path: Path, name: str, tags: dict[int, object]
) -> None:
    path = save(tmp_path / name, format="TIFF", tiffinfo=tags)
    with pytest.raises(UnreadableError, match="a camera's raw file, of which only a preview can be read"):
        read_photo(path, None, 16, 12)


NFC, NFD = (unicodedata.normalize(form, "Möwe") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(("there", "listed"), [(NFD, NFC), (NFC, NFD)])
def test_names_are_compared_in_one_unicode_form(tmp_path: Path, there: str, listed: str) -> None:
    root = with_masks(tree(tmp_path, ("cat", there)))
    for path in list((root / "masks" / "train" / there).iterdir()):
        path.rename(path.with_stem(unicodedata.normalize("NFD", f"é{path.stem}")))
    for path in list((root / "train" / there).iterdir()):
        path.rename(path.with_stem(f"é{path.stem}"))
    (root / "masks" / "val" / there).rename(root / "masks" / "val" / listed)
    found = survey(root, spec(classes={"cat": "cat", listed: listed}))
    assert found.folders == found.class_names == ("cat", NFC)
    assert [len(photos) for photos in found.photos["train"]] == [3, 3]
    assert survey(root, spec()).folders == (NFC, "cat")


def test_two_folders_that_differ_in_unicode_form_alone_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the same name in another Unicode form, .*; rename one$"):
        survey(tree(tmp_path, (NFC, NFD)), spec())
    with pytest.raises(ValidationError, match="holds 'Möwe' twice"):
        spec(classes={NFC: "a", NFD: "b"})


def test_image_under_a_strange_name_is_read(tmp_path: Path) -> None:
    save(tree(tmp_path) / "train" / "cat" / "photo.dat", format="PNG")
    assert len(rows(tmp_path)) == 7


@pytest.mark.parametrize("processes", [1, 2])
def test_first_so_many_by_name_and_the_next_for_one_that_is_skipped(tmp_path: Path, processes: int) -> None:
    damaged(tree(tmp_path) / "train" / "cat" / "0b.jpg", "text")
    damaged(tmp_path / "train" / "cat" / "1b.jpg", "text")  # not reached
    skipped: list[str] = []
    found = rows(tmp_path, skipped=skipped, processes=processes, unreadable="skip", train_per_class=2)
    assert [(label, int(pixels[0, 0, 0])) for pixels, label, _ in found] == [(0, 0), (0, 40), (1, 0), (1, 40)]
    assert len(skipped) == 1


def test_too_few_images_are_refused_with_class_and_counts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"test_per_class: 4 images asked for, .*val/cat holds 3"):
        rows(tree(tmp_path), test_per_class=4)


def test_too_few_left_after_skipping_are_refused(tmp_path: Path) -> None:
    damaged(tree(tmp_path) / "train" / "dog" / "2.jpg", "empty")
    with pytest.raises(UserError, match=r"train_per_class: 3 images asked for, .*train/dog holds 2 readable"):
        rows(tmp_path, unreadable="skip", train_per_class=3)


def test_class_without_a_readable_image_is_refused(tmp_path: Path) -> None:
    damaged(tree(tmp_path) / "train" / "ant" / "0.jpg", "empty")
    save(tmp_path / "val" / "ant" / "0.jpg")
    with pytest.raises(UserError, match=r"train/ant: no readable image"):
        rows(tmp_path, unreadable="skip")


def test_absent_class_is_named_with_the_folders_found(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train/cow: class folder not found; .*train holds cat, dog"):
        survey(tree(tmp_path), spec(classes={"cat": "Cat", "cow": "Cow"}))


def test_all_classes_must_be_in_both_splits(tmp_path: Path) -> None:
    save(tree(tmp_path) / "val" / "emu" / "0.jpg")
    with pytest.raises(UserError, match=r"train/emu: class folder not found"):
        survey(tmp_path, spec())


@pytest.mark.parametrize("classes", ["all", {"cat": "a cat"}])
def test_a_single_class_is_refused(tmp_path: Path, classes: object) -> None:
    with pytest.raises(UserError, match=r": one class, cat; accepted: at least two$"):
        survey(tree(tmp_path, ("cat",)), spec(classes=classes))


def test_a_class_folder_whose_name_is_no_text_is_named(tmp_path: Path) -> None:
    tree(tmp_path, ("cat", "caf\udce9"))  # a Latin-1 file system's name, as Python gives it
    with pytest.raises(
        UserError, match=r": the name of the class folder 'caf\\udce9' is not UTF-8; rename it$"
    ):
        survey(tmp_path, spec())
    assert survey(tree(tmp_path / "new", ("cat", "café")), spec()).folders == ("café", "cat")


def test_listed_classes_keep_their_order_and_names(tmp_path: Path) -> None:
    found = survey(tree(tmp_path), spec(classes={"dog": "a dog", "cat": "a cat"}))
    assert found.folders == ("dog", "cat") and found.class_names == ("a dog", "a cat")
    assert [photo.path.parent.name for photo in found.photos["train"][0]] == ["dog"] * 3


def test_second_folder_may_be_called_test(tmp_path: Path) -> None:
    assert len(rows(tree(tmp_path, second="test"), "test")) == 6


def with_masks(root: Path) -> Path:
    """Left two thirds foreground, in two file formats."""
    for image in [*root.glob("train/*/*.jpg"), *root.glob("val/*/*.jpg")]:
        values = np.zeros((16, 24), np.uint8)
        values[:, :12] = 255
        suffix = ".png" if image.stem == "0" else ".bmp"
        save(root / "masks" / image.relative_to(root).with_suffix(suffix), Image.fromarray(values))
    return root


def test_masks_are_cropped_with_their_images(tmp_path: Path) -> None:
    for _, _, mask in rows(with_masks(tree(tmp_path)), side=16):
        assert mask.shape == (1, 16, 16) and mask.dtype == np.bool_
        assert mask[0, :, :8].all() and not mask[0, :, 8:].any()


def test_mask_follows_an_image_that_exif_turns(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = save(tmp_path / "a.png", Image.new("RGB", (24, 16)), exif=exif)
    mask = save(tmp_path / "m.png", Image.new("L", (16, 24), 255))
    assert read_photo(image, mask, 16, 12)[1].all()


def test_mask_of_another_size_names_both_files(tmp_path: Path) -> None:
    save(with_masks(tree(tmp_path)) / "masks/train/dog/0.png", Image.new("L", (20, 16), 255))
    with pytest.raises(
        UserError, match=r"masks/train/dog/0\.png: the mask is 20x16 .*train/dog/0\.jpg is 24x16"
    ):
        rows(tmp_path)


def test_missing_mask_is_named(tmp_path: Path) -> None:
    (with_masks(tree(tmp_path)) / "masks/val/cat/0.png").unlink()
    with pytest.raises(UserError, match=r"masks/val/cat/0\.png: no mask for .*val/cat/0\.jpg"):
        rows(tmp_path)


def test_two_masks_of_one_image_are_refused(tmp_path: Path) -> None:
    save(with_masks(tree(tmp_path)) / "masks/train/cat/0.bmp", Image.new("L", (24, 16)))
    with pytest.raises(UserError, match=r"0\.png"):
        rows(tmp_path)


def test_mask_of_three_values_is_refused(tmp_path: Path) -> None:
    values = np.repeat(np.array([[0, 3, 255]], np.uint8), 16, 0).repeat(8, 1)
    save(with_masks(tree(tmp_path)) / "masks/train/cat/0.png", Image.fromarray(values))
    with pytest.raises(
        UserError, match=r"masks/train/cat/0\.png: holds the values 0, 3, 255; accepted: 0 and"
    ):
        rows(tmp_path)


def test_unreadable_mask_skips_its_image(tmp_path: Path) -> None:
    damaged(with_masks(tree(tmp_path)) / "masks/train/cat/0.png", "text")
    skipped: list[str] = []
    assert len(rows(tmp_path, skipped=skipped, unreadable="skip")) == 5
    assert skipped[0].startswith("mask train/cat/0.png: ")


def test_real_photographs() -> None:
    root = SHARED / "data" / "imagenet10"
    if not root.is_dir():
        pytest.skip("shared/data/imagenet10 absent")
    found = rows(root, resize=72, side=64, train_per_class=3)
    pixels = np.stack([pixels for pixels, _, _ in found])
    assert pixels.shape == (30, 3, 64, 64) and [label for _, label, _ in found] == sorted(3 * list(range(10)))
    assert pixels.std(axis=(1, 2, 3)).min() > 10
