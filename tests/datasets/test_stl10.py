from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import STL10

from dualperturb.core.images import load_names, load_split
from dualperturb.datasets import prepare, stl10
from dualperturb.datasets.check import check
from dualperturb.datasets.published import md5
from dualperturb.datasets.raw.link import Links, link
from dualperturb.errors import UserError
from dualperturb.params import Params, load_params
from tests.sections import with_section

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = REPOSITORY / ".." / "shared" / "data" / "stl10_binary"
NAMES = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
COUNTS = {"train": 4, "test": 3}


def with_limits(**limits: int | str) -> Params:
    return with_section(load_params(REPOSITORY / "params.yaml"), "stl10", "data", **limits)


@pytest.fixture(scope="module")
def params() -> Params:
    return with_limits()


def pixels(split: str) -> np.ndarray:
    """(N, 3, 96, 96), rows before columns: what the files below hold."""
    return np.random.default_rng(len(split)).integers(0, 256, (COUNTS[split], 3, 96, 96), dtype=np.uint8)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw" / "stl10"
    folder.mkdir(parents=True)
    for split, count in COUNTS.items():
        (folder / f"{split}_X.bin").write_bytes(pixels(split).transpose(0, 1, 3, 2).tobytes())
        (folder / f"{split}_y.bin").write_bytes(bytes([10, 1, 5, 2][:count]))
    (folder / "class_names.txt").write_text("\n".join(NAMES) + "\n")
    return folder


def test_images_are_upright_and_labels_from_zero(params: Params, raw: Path, tmp_path: Path) -> None:
    meta = prepare("stl10", params, raw, tmp_path / "out")
    for split in COUNTS:
        prepared = load_split(tmp_path / "out", split)
        assert np.array_equal(prepared.images, pixels(split))
        assert prepared.labels.tolist() == [9, 0, 4, 1][: COUNTS[split]] and prepared.foreground is None
    assert prepared.class_names == tuple(NAMES) and meta["side"] == prepared.side == 96
    assert load_names(tmp_path / "out", "test") is None


def test_files_read_as_torchvision_reads_them(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(STL10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(STL10, "base_folder", raw.name)
    found = stl10.survey(raw)
    for split in COUNTS:
        theirs = STL10(str(raw.parent), split)
        rows = list(stl10.read(found, split, "all"))
        assert np.array_equal(np.stack([image for image, _, _ in rows]), theirs.data)
        assert [label for _, label, _ in rows] == theirs.labels.tolist()


def test_official_sums_are_torchvisions() -> None:
    theirs = dict(STL10.train_list + STL10.test_list)
    assert theirs.pop("unlabeled_X.bin") and theirs == stl10.PUBLISHED.sums
    ours = (stl10.PUBLISHED.url, stl10.PUBLISHED.archive, stl10.PUBLISHED.archive_md5)
    assert ours == (STL10.url, STL10.filename, STL10.tgz_md5)
    assert stl10.PUBLISHED.folder == STL10.base_folder


def test_other_sums_are_a_warning_for_each_file_and_kept(params: Params, raw: Path, tmp_path: Path) -> None:
    meta = prepare("stl10", params, raw, tmp_path / "out")
    found = hashlib.md5((raw / "test_y.bin").read_bytes()).hexdigest()
    assert meta["md5"]["test_y.bin"] == found and len(meta["warnings"]) == 4
    assert check(tmp_path / "out").deviations == tuple(meta["warnings"])
    assert meta["warnings"][3] == (
        f"test_y.bin: MD5 sum {found} is not that of the official file, 36f9794fa4beb8a2c72628de14fa638e"
    )
    assert meta["source"] == "STL-10, not its official files"


def test_official_files_bring_no_warning(
    params: Params, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums = {name: md5(raw / name) for name in stl10.PUBLISHED.sums}
    monkeypatch.setattr(stl10, "PUBLISHED", replace(stl10.PUBLISHED, sums=sums))
    meta = prepare("stl10", params, raw, tmp_path / "out")
    assert meta["warnings"] == [] and meta["source"] == "STL-10, its official files"


def test_the_first_images_where_so_many_are_asked_for(raw: Path, tmp_path: Path) -> None:
    prepare("stl10", with_limits(train=2, test="all"), raw, tmp_path / "out")
    assert np.array_equal(load_split(tmp_path / "out", "train").images, pixels("train")[:2])
    with pytest.raises(UserError, match=r"stl10\.data\.test: 9 images asked for, .*raw/stl10 holds 3"):
        prepare("stl10", with_limits(test=9), raw, tmp_path / "out")


def test_the_unlabelled_images_are_not_touched(params: Params, raw: Path, tmp_path: Path) -> None:
    (raw / "unlabeled_X.bin").mkdir()  # opening it would fail
    meta = prepare("stl10", params, raw, tmp_path / "out")
    assert [entry["count"] for entry in meta["splits"].values()] == [4, 3]


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("train_X.bin", b"\0" * 27649, r"train_X\.bin: 27649 bytes; accepted: a multiple of 27648"),
        ("train_X.bin", b"", r"train_X\.bin: 0 bytes; accepted: a multiple"),
        ("train_y.bin", bytes([1, 2, 11, 4]), r"train_y\.bin: label 2 is 11; accepted: 1 to 10$"),
        ("train_y.bin", bytes([1, 0, 2, 4]), r"train_y\.bin: label 1 is 0; accepted: 1 to 10$"),
        ("test_y.bin", bytes([1, 2]), r"test_y\.bin: 2 labels, test_X\.bin holds 3 images"),
        ("class_names.txt", b"cat\ndog\n", r"class_names\.txt: 2 names; accepted: 10"),
    ],
)
def test_a_bad_file_is_one_line(
    params: Params, raw: Path, tmp_path: Path, name: str, content: bytes, line: str
) -> None:
    (raw / name).write_bytes(content)
    with pytest.raises(UserError, match=line) as caught:
        prepare("stl10", params, raw, tmp_path / "out")
    assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", stl10.PUBLISHED.files)
def test_a_missing_file_says_how_to_get_it(params: Params, raw: Path, tmp_path: Path, name: str) -> None:
    (raw / name).unlink()
    with pytest.raises(UserError, match=rf"{name}: not found; .*: dualperturb data fetch stl10, or link"):
        prepare("stl10", params, raw, tmp_path / "out")
    (raw / name).symlink_to("gone")
    with pytest.raises(UserError, match=rf"{name}: a link to gone, which is absent; "):
        prepare("stl10", params, raw, tmp_path / "out")


def test_file_and_folder_in_each_others_place(params: Params, raw: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train_y\.bin: is a file; accepted: a folder"):
        prepare("stl10", params, raw / "train_y.bin", tmp_path / "out")
    (raw / "test_X.bin").unlink()
    (raw / "test_X.bin").mkdir()
    with pytest.raises(UserError, match=r"test_X\.bin: is a folder; accepted: the file"):
        prepare("stl10", params, raw, tmp_path / "out")


def test_real_images(params: Params, tmp_path: Path) -> None:
    if not SAMPLE.is_dir():
        pytest.skip("the STL-10 sample is absent")
    meta = prepare("stl10", params, SAMPLE, tmp_path / "out")
    assert [meta["splits"][split]["count"] for split in ("train", "test")] == [59, 63]
    assert meta["class_names"] == NAMES and len(meta["warnings"]) == 4
    # The sample's letterboxes are black rows: bars of the top, not of the left.
    images = load_split(tmp_path / "out", "test").images
    assert (images[:, :, :3].max(axis=(1, 2, 3)) < 40).sum() > (
        images[..., :3].max(axis=(1, 2, 3)) < 40
    ).sum()


def test_link_of_the_five_files(raw: Path, tmp_path: Path) -> None:
    target = tmp_path / "project" / "stl10"
    (raw / "unlabeled_X.bin").write_text("large")
    assert link("stl10", raw, target) == Links(5, 0, 0)
    assert link("stl10", raw, target) == Links(0, 5, 0)
    assert sorted(path.name for path in target.iterdir()) == sorted(stl10.PUBLISHED.files)
    (target / "train_X.bin").unlink()
    (target / "train_X.bin").write_text("mine")
    with pytest.raises(UserError, match=r"train_X\.bin: is a file of your own and no link"):
        link("stl10", raw, target)
    with pytest.raises(UserError, match=r"holds no file train_X\.bin; accepted: a folder of train_X\.bin, "):
        link("stl10", tmp_path, target)
