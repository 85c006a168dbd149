from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dualperturb.datasets.raw.stl10_marks import Imported, import_masks
from dualperturb.errors import UserError


def write(folder: Path, name: str, content: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"stl10_{name}.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    write(
        tmp_path / "marks", "train_bird", {"7": {"bird_0": [[2, 0], [3, 0]], "bird_1": [[15, 15], [16, 4]]}}
    )
    write(tmp_path / "marks", "train_cat", {"12": {"cat_0": [[0, 1]]}, "13": {"cat_0": []}, "14": {}})
    return write(tmp_path / "marks", "test_cat", {"7": {"cat_0": [[5, 5]]}})


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_marked_squares_of_all_objects_are_foreground(marks: Path, tmp_path: Path) -> None:
    out = tmp_path / "raw" / "masks"
    assert import_masks(marks, out) == Imported({"train": 2, "test": 1}, 3)
    assert sorted(path.name for path in (out / "train").iterdir()) == ["00007.png", "00012.png"]
    expected = np.zeros((96, 96), np.uint8)
    expected[0:6, 12:24] = expected[90:96, 90:96] = 255
    assert np.array_equal(read(out / "train" / "00007.png"), expected)
    assert read(out / "train" / "00012.png")[6:12, 0:6].min() == 255
    assert read(out / "test" / "00007.png").mean() == pytest.approx(255 / 256)


def test_an_earlier_import_is_replaced_and_nothing_else(marks: Path, tmp_path: Path) -> None:
    out = tmp_path / "masks"
    import_masks(marks, out)
    write(marks, "train_cat", {"20": {"cat_0": [[0, 0]]}})
    import_masks(marks, out)
    assert sorted(path.name for path in (out / "train").iterdir()) == ["00007.png", "00020.png"]
    (out / "mine.txt").write_text("work")
    with pytest.raises(
        UserError, match=r"masks: holds mine\.txt; accepted: a new folder or an earlier import"
    ):
        import_masks(marks, out)
    with pytest.raises(UserError, match=r"mine\.txt: is a file; accepted for --out: a folder"):
        import_masks(marks, out / "mine.txt")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('{"7": {"cat_0": [[1, 2', r"test_cat\.json: .*; accepted: JSON of the form"),
        ('{"-1": {}}', r"test_cat\.json: found the image '-1'; accepted: JSON"),
        ("[" * 100_000, r"test_cat\.json: .*; accepted: JSON"),
        ("[1]", r"test_cat\.json: .*; accepted: JSON"),
        ('{"seven": {}}', r"test_cat\.json: .*seven.*; accepted: JSON"),
        ('{"7": {"cat_0": [[1, 17]]}}', r"found a mark at \[1, 17\]; accepted"),
        ('{"7": {"cat_0": [[-1, 1]]}}', r"found a mark at \[-1, 1\]; accepted"),
        ('{"7": {"cat_0": [[1.5, 1]]}}', r"found a mark at \[1\.5, 1\]; accepted"),
        ('{"7": {"cat_0": [[1, 1, 1]]}}', r"test_cat\.json: .*; accepted: JSON"),
        ('{"7": [[1, 1]]}', r"test_cat\.json: .*; accepted: JSON"),
    ],
)
def test_a_file_of_another_layout_is_one_line(marks: Path, tmp_path: Path, content: str, line: str) -> None:
    (marks / "stl10_test_cat.json").write_text(content)
    with pytest.raises(UserError, match=line) as caught:
        import_masks(marks, tmp_path / "out")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_an_image_in_two_files_is_refused(marks: Path, tmp_path: Path) -> None:
    write(marks, "train_dog", {"12": {"dog_0": [[3, 3]]}})
    with pytest.raises(UserError, match=r"train_dog\.json: image 12 is in stl10_train_cat\.json, too"):
        import_masks(marks, tmp_path / "out")


def test_a_folder_without_marks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no stl10_train_CLASS.json or stl10_test_CLASS.json"):
        import_masks(tmp_path, tmp_path / "out")
