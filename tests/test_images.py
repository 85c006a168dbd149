from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dualperturb.core.images import (
    ImageSet,
    Row,
    load_meta,
    load_names,
    load_split,
    sha256,
    write_meta,
    write_split,
)
from dualperturb.errors import UserError

SIDE = 4


def rows(count: int, masks: bool = True) -> Iterator[Row]:
    rng = np.random.default_rng(0)
    for index in range(count):
        image = rng.integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)
        yield image, index % 2, rng.random((1, SIDE, SIDE)) < 0.5 if masks else None


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    entry = write_split(tmp_path, "test", SIDE, rows(5))
    write_meta(tmp_path, class_names=["a", "b"], splits={"test": entry})
    return tmp_path


def test_what_is_written_is_read_back(prepared: Path) -> None:
    found = load_split(prepared, "test")
    expected = list(rows(5))
    assert len(found) == 5 and found.side == SIDE and found.class_names == ("a", "b")
    assert found.labels.dtype == np.int64 and found.labels.tolist() == [0, 1, 0, 1, 0]
    assert (found.images == np.stack([image for image, _, _ in expected])).all()
    assert found.foreground is not None and found.foreground.dtype == np.bool_
    assert (found.foreground == np.stack([mask for _, _, mask in expected if mask is not None])).all()


def test_images_stay_on_disk(prepared: Path) -> None:
    found = load_split(prepared, "test")
    assert isinstance(found.images, np.memmap) and isinstance(found.foreground, np.memmap)


def test_files_are_what_numpy_itself_writes(prepared: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "peer.npy", np.stack([image for image, _, _ in rows(5)]))
    assert (prepared / "test.images.npy").read_bytes() == (tmp_path / "peer.npy").read_bytes()


def test_entry_holds_counts_and_checksums(prepared: Path) -> None:
    entry = load_meta(prepared)["splits"]["test"]
    assert entry["count"] == 5 and entry["counts_by_label"] == [3, 2]
    assert set(entry["sha256"]) == {"test.images.npy", "test.labels.npy", "test.foreground.npy"}
    assert all(sha256(prepared / name) == value for name, value in entry["sha256"].items())


def test_without_masks_there_is_no_mask_file(tmp_path: Path) -> None:
    entry = write_split(tmp_path, "test", SIDE, rows(2, masks=False))
    write_meta(tmp_path, class_names=["a", "b"], splits={"test": entry})
    assert load_split(tmp_path, "test").foreground is None
    assert not (tmp_path / "test.foreground.npy").exists()


@pytest.mark.parametrize("name", ["test.images.npy", "test.foreground.npy"])
def test_fewer_rows_than_meta_says_are_refused(prepared: Path, name: str) -> None:
    array = np.load(prepared / name)
    np.save(prepared / name, array[:-1])
    with pytest.raises(UserError, match="make it anew with"):
        load_split(prepared, "test")


def test_count_in_meta_is_compared(prepared: Path) -> None:
    meta = load_meta(prepared)
    meta["splits"]["test"]["count"] = 6
    (prepared / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(UserError, match="holds 5 images and 5 labels.* meta.json says 6"):
        load_split(prepared, "test")


@pytest.mark.parametrize("name", ["test.images.npy", "test.labels.npy", "test.foreground.npy"])
def test_truncated_file_is_refused(prepared: Path, name: str) -> None:
    content = (prepared / name).read_bytes()
    (prepared / name).write_bytes(content[:-3])
    with pytest.raises(UserError, match="split test cannot be read"):
        load_split(prepared, "test")


def test_absent_split_is_refused(prepared: Path) -> None:
    with pytest.raises(UserError, match="split train"):
        load_split(prepared, "train")


@pytest.mark.parametrize(
    "content", ["null", "[]", "{}", '{"class_names": [], "splits": [1]}', '{"splits": {}}']
)
def test_meta_of_something_else_is_refused(prepared: Path, content: str) -> None:
    (prepared / "meta.json").write_text(content)
    with pytest.raises(UserError, match=r"meta\.json: lacks (splits|class_names); make it anew"):
        load_split(prepared, "test")


@pytest.mark.parametrize("entry", [None, [], {}])
def test_meta_without_a_splits_count_is_refused(prepared: Path, entry: object) -> None:
    meta = load_meta(prepared)
    meta["splits"]["test"] = entry
    (prepared / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(UserError, match=r"split test cannot be read \(.*\); make it anew with"):
        load_split(prepared, "test")


@pytest.mark.parametrize("content", ["{}", "[1]", "null", '["a", "b"'])
def test_names_that_are_none_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "test.names.json").write_text(content)
    with pytest.raises(UserError, match=r"test\.names\.json: .*make it anew with"):
        load_names(tmp_path, "test")


def test_absent_and_broken_meta_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"meta\.json: not found; prepare"):
        load_meta(tmp_path)
    (tmp_path / "meta.json").write_text('{"name": ')
    with pytest.raises(UserError, match=r"meta\.json: not valid JSON"):
        load_meta(tmp_path)


def test_choice_is_sorted_distinct_and_repeats() -> None:
    images = ImageSet(np.zeros((20, 3, SIDE, SIDE), np.uint8), np.zeros(20, np.int64), ("a",))
    chosen = images.choose(8, seed=3)
    assert len(set(chosen.tolist())) == 8 and (np.diff(chosen) > 0).all()
    assert (chosen == images.choose(8, seed=3)).all() and (chosen != images.choose(8, seed=4)).any()
    with pytest.raises(UserError, match="n: 21 images asked for, the split holds 20"):
        images.choose(21, seed=0)
