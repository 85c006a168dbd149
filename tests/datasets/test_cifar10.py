from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from dualperturb.core.images import load_names, load_split
from dualperturb.datasets import cifar10, prepare
from dualperturb.datasets.check import check
from dualperturb.datasets.published import md5
from dualperturb.datasets.raw.link import Links, link
from dualperturb.errors import UserError
from dualperturb.params import Params, load_params
from tests.datasets.raw_folders import CIFAR_LABELS, CIFAR_NAMES
from tests.datasets.raw_folders import cifar10 as write
from tests.sections import with_section

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = cifar10.PUBLISHED.files


def with_limits(**limits: int | str) -> Params:
    return with_section(load_params(REPOSITORY / "params.yaml"), "cifar10", "data", **limits)


@pytest.fixture(scope="module")
def params() -> Params:
    return with_limits()


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    write(tmp_path / "raw" / "cifar10")
    return tmp_path / "raw" / "cifar10"


def test_planes_and_rows_are_in_their_place(params: Params, raw: Path, tmp_path: Path) -> None:
    record = np.zeros(3073, np.uint8)
    record[[0, 1 + 2 * 1024 + 5 * 32 + 7]] = 3, 200  # a cat, blue at row 5, column 7
    (raw / "test_batch.bin").write_bytes(record.tobytes())
    prepare("cifar10", params, raw, tmp_path / "out")
    test = load_split(tmp_path / "out", "test")
    assert np.argwhere(test.images).tolist() == [[0, 2, 5, 7]] and test.images.max() == 200
    assert test.labels.tolist() == [3] and test.class_names[3] == "cat"


def test_batches_follow_one_another(params: Params, raw: Path, tmp_path: Path) -> None:
    meta = prepare("cifar10", params, raw, tmp_path / "out")
    train, test = (load_split(tmp_path / "out", split) for split in ("train", "test"))
    assert train.labels.tolist() == [label for batch in CIFAR_LABELS[:5] for label in batch]
    assert test.labels.tolist() == list(CIFAR_LABELS[5])
    last = np.frombuffer((raw / "data_batch_5.bin").read_bytes(), np.uint8).reshape(3, 3073)
    assert np.array_equal(train.images[12:].reshape(3, -1), last[:, 1:]) and train.foreground is None
    assert train.class_names == CIFAR_NAMES and meta["side"] == 32
    assert load_names(tmp_path / "out", "test") is None


def test_the_folder_of_the_archive_is_found(params: Params, raw: Path, tmp_path: Path) -> None:
    (raw / "cifar-10-batches-bin").mkdir()  # files beside it are preferred
    flat = prepare("cifar10", params, raw, tmp_path / "flat")
    raw.rename(tmp_path / "cifar-10-batches-bin")
    assert prepare("cifar10", params, tmp_path, tmp_path / "out") == flat
    assert link("cifar10", tmp_path, tmp_path / "project") == Links(7, 0, 0)


def test_the_first_images_where_so_many_are_asked_for(raw: Path, tmp_path: Path) -> None:
    prepare("cifar10", with_limits(train=4, test="all"), raw, tmp_path / "out")
    assert load_split(tmp_path / "out", "train").labels.tolist() == [*CIFAR_LABELS[0], CIFAR_LABELS[1][0]]
    with pytest.raises(UserError, match=r"cifar10\.data\.train: 16 images asked for, .*cifar10 holds 15"):
        prepare("cifar10", with_limits(train=16), raw, tmp_path / "out")


def test_other_sums_are_a_warning_for_each_file(params: Params, raw: Path, tmp_path: Path) -> None:
    meta = prepare("cifar10", params, raw, tmp_path / "out")
    found = hashlib.md5((raw / "test_batch.bin").read_bytes()).hexdigest()
    assert meta["md5"]["test_batch.bin"] == found and len(meta["warnings"]) == 6
    assert check(tmp_path / "out").deviations == tuple(meta["warnings"])
    assert meta["warnings"][5] == (
        f"test_batch.bin: MD5 sum {found} is not that of the official file, 803d5f7f4d78ea53de84dbe85f74fb6d"
    )
    assert meta["source"] == "CIFAR-10, not its official files"


def test_official_files_bring_no_warning(
    params: Params, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = {name: md5(raw / name) for name in cifar10.PUBLISHED.sums}
    monkeypatch.setattr(cifar10, "PUBLISHED", replace(cifar10.PUBLISHED, sums=sums))
    meta = prepare("cifar10", params, raw, tmp_path / "out")
    assert meta["warnings"] == [] and meta["source"] == "CIFAR-10, its official files"


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("data_batch_2.bin", bytes(3074), r"data_batch_2\.bin: 3074 bytes; accepted: a multiple of 3073"),
        ("test_batch.bin", b"", r"test_batch\.bin: 0 bytes; accepted: a multiple of 3073"),
        (
            "data_batch_3.bin",
            bytes(3073) + b"\x0a" + bytes(3072),
            r"data_batch_3\.bin: the label of record 1 is 10; accepted: 0 to 9$",
        ),
        ("batches.meta.txt", b"cat\ndog\n", r"batches\.meta\.txt: 2 names; accepted: 10"),
    ],
)
def test_a_bad_file_is_one_line(
    params: Params, raw: Path, tmp_path: Path, name: str, content: bytes, line: str
) -> None:
    (raw / name).write_bytes(content)
    with pytest.raises(UserError, match=line) as caught:
        prepare("cifar10", params, raw, tmp_path / "out")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_says_how_to_get_it(params: Params, raw: Path, tmp_path: Path, name: str) -> None:
    (raw / name).unlink()
    with pytest.raises(UserError, match=rf"{name}: not found; .*: dualperturb data fetch cifar10, or link"):
        prepare("cifar10", params, raw, tmp_path / "out")


@pytest.mark.parametrize("name", [CIFAR10.base_folder, "data_batch_1", "test_batch"])
def test_the_pickled_version_is_refused(params: Params, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    line = rf"{name}: is of the pickled version .*; accepted: the binary version, cifar-10-binary\.tar\.gz"
    with pytest.raises(UserError, match=line) as caught:
        prepare("cifar10", params, tmp_path, tmp_path / "out")
    assert str(caught.value).endswith("dualperturb data fetch cifar10")
    with pytest.raises(UserError, match=line):
        link("cifar10", tmp_path, tmp_path / "project")
    write(tmp_path / "cifar-10-batches-bin")
    prepare("cifar10", params, tmp_path, tmp_path / "out")


def test_link_of_the_seven_files(raw: Path, tmp_path: Path) -> None:
    target = tmp_path / "project" / "cifar10"
    (raw / "readme.html").write_text("nothing to read")
    assert link("cifar10", raw, target) == Links(7, 0, 0)
    assert link("cifar10", raw, target) == Links(0, 7, 0)
    assert sorted(path.name for path in target.iterdir()) == sorted(FILES)
    (raw / "test_batch.bin").unlink()
    with pytest.raises(UserError, match=r"holds no file test_batch\.bin; accepted: a folder of data_batch_1"):
        link("cifar10", raw, target)
