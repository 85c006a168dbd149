from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dualperturb.errors import UserError
from dualperturb.masks.files import MaskFiles, find_masks
from dualperturb.params.masks import MaskFilesParams

SIDE = 6
REFUSE = {"folder": "masks", "match": "index", "missing": "refuse", "other_size": "refuse"}


def drawn(index: int, side: int = SIDE) -> np.ndarray:
    """A mask like no other: `index` + 1 rows of foreground, and one more column."""
    mask = np.zeros((side, side), np.bool_)
    mask[: index + 1] = True
    mask[:, index] = True
    return mask


def save(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)


def find(folder: Path, names: list[str] | None = None, split: str = "test", **changes: object) -> MaskFiles:
    return find_masks(folder, split, names, 3, SIDE, MaskFilesParams(**{**REFUSE, **changes}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index, name in enumerate(("0.png", "01.png", "000002.bmp")):
        save(tmp_path / "test" / name, drawn(index))
    return tmp_path


def test_masks_are_matched_by_their_number(folder: Path) -> None:
    found = find(folder)
    assert found.missing == found.unused == 0
    masks = found[slice(0, 3)]
    assert masks.dtype == np.bool_ and masks.shape == (3, 1, SIDE, SIDE)
    assert np.array_equal(masks[:, 0], np.stack([drawn(index) for index in range(3)]))
    assert np.array_equal(found[slice(1, 3)], masks[1:])


def test_the_test_split_may_be_called_val(folder: Path) -> None:
    (folder / "test").rename(folder / "val")
    assert find(folder).missing == 0
    with pytest.raises(
        UserError, match="train: not found; accepted: a folder of masks; masks.files.folder names the"
    ):
        find(folder, split="train")


def test_masks_are_matched_by_class_and_name(tmp_path: Path) -> None:
    names = ["cat/a.JPEG", "dog/a.JPEG", "dog/b.c.jpg"]
    for index, name in enumerate(("cat/a.png", "dog/a.png", "dog/b.c.png")):
        save(tmp_path / "train" / name, drawn(index))
    found = find(tmp_path, names, "train", match="name")
    assert np.array_equal(found[slice(0, 3)][:, 0], np.stack([drawn(index) for index in range(3)]))
    with pytest.raises(
        UserError, match=r"masks\.files\.match: found name, but .* no file names; accepted: index"
    ):
        find(tmp_path, None, "train", match="name")


def test_names_are_matched_in_one_unicode_form(tmp_path: Path) -> None:
    names = [unicodedata.normalize("NFC", f"Möwe/é{index}.jpg") for index in range(3)]
    for index, name in enumerate(names):
        save(tmp_path / "train" / unicodedata.normalize("NFD", name).replace("jpg", "png"), drawn(index))
    assert find(tmp_path, names, "train", match="name").missing == 0


def test_missing_masks_are_counted_and_refused(folder: Path) -> None:
    (folder / "test" / "01.png").unlink()
    with pytest.raises(
        UserError, match="test: no mask for 1 of 3 images, the first is 1; accepted: one for each"
    ):
        find(folder)


@pytest.mark.parametrize(("missing", "value"), [("background", False), ("foreground", True)])
def test_missing_masks_are_filled_where_that_is_asked_for(folder: Path, missing: str, value: bool) -> None:
    (folder / "test" / "01.png").unlink()
    found = find(folder, missing=missing)
    assert found.missing == 1 and (found[slice(0, 3)][1] == value).all()
    assert np.array_equal(found[slice(0, 1)][0, 0], drawn(0))


def test_a_folder_without_any_mask_of_the_images_is_refused_whatever_is_filled(tmp_path: Path) -> None:
    save(tmp_path / "test" / "77.png", drawn(0))
    with pytest.raises(UserError, match="test: holds no mask of any image; accepted: files matched by index"):
        find(tmp_path, missing="background")


def test_files_of_no_image_are_counted_and_other_files_passed_over(folder: Path) -> None:
    save(folder / "test" / "3.png", drawn(0))
    (folder / "test" / "notes.txt").write_text("by hand")
    (folder / "test" / ".hidden.png").write_text("")
    found = find(folder)
    assert (found.missing, found.unused) == (0, 1)


def test_two_masks_of_one_image_are_refused(folder: Path) -> None:
    save(folder / "test" / "1.png", drawn(0))
    with pytest.raises(
        UserError, match=r"1\.png: 01\.png is a mask of the same image; accepted: one mask each"
    ):
        find(folder)


def test_a_name_that_is_no_number_is_refused(folder: Path) -> None:
    save(folder / "test" / "-1.png", drawn(0))
    with pytest.raises(UserError, match=r"-1\.png: its name is no number; accepted: the image's index"):
        find(folder)


def test_a_mask_of_another_size_is_refused_or_resized(folder: Path) -> None:
    large = np.kron(drawn(1), np.ones((2, 2), np.bool_))
    save(folder / "test" / "01.png", large)
    with pytest.raises(UserError, match=r"01\.png: 12x12 pixels; accepted: 6x6, the size of the prepared"):
        find(folder)[slice(0, 3)]
    assert np.array_equal(find(folder, other_size="resize")[slice(1, 2)][0, 0], drawn(1))
    save(folder / "test" / "01.png", large[:8])
    with pytest.raises(UserError, match=r"01\.png: 12x8 pixels; accepted: 6x6"):
        find(folder, other_size="resize")[slice(0, 3)]


def test_a_file_in_place_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "train").write_text("")
    for place, name in ((folder, "train"), (folder / "train", "train")):
        with pytest.raises(UserError, match=f"{name}: is a file; accepted: a folder of masks; masks.files"):
            find(place, split="train")


TRUNCATED = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x06\0\0\0\x06\x08\0\0\0\0"


@pytest.mark.parametrize("content", [b"", b"no image", TRUNCATED])
def test_an_unreadable_mask_is_one_line(folder: Path, content: bytes) -> None:
    (folder / "test" / "01.png").write_bytes(content)
    with pytest.raises(UserError, match=r"01\.png: unreadable mask \("):
        find(folder)[slice(0, 3)]


def test_labels_are_chosen(folder: Path) -> None:
    labels = np.repeat(np.array([[0, 0, 3, 3, 7, 255]], np.uint8), SIDE, 0)
    Image.fromarray(labels).save(folder / "test" / "01.png")
    with pytest.raises(UserError, match=r"01\.png: holds the values 0, 3, 7, 255; accepted: 0 and one other"):
        find(folder)[slice(1, 2)]
    for foreground, columns in (((3,), [2, 3]), ((7,), [4, 5]), ((9,), [])):
        chosen = find(folder, foreground=foreground, ignore=[255])[slice(1, 2)]
        assert np.flatnonzero(chosen[0, 0, 0]).tolist() == columns
