from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dualperturb import cli
from dualperturb.datasets import segment6
from dualperturb.datasets.raw import segment6_build
from dualperturb.datasets.raw.coco import CocoImage, Instance, foreground, read_annotations
from dualperturb.datasets.raw.segment6_build import Built, build
from dualperturb.errors import UserError

pytest.importorskip("pycocotools", reason="the extra coco is not installed")

SAMPLE = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "coco-mini"
IDS = {"train": 7, "bird": 16, "cat": 17, "dog": 18, "toilet": 70, "clock": 85}
HEIGHT, WIDTH = 60, 80
Content = dict[str, Any]


def runs(mask: np.ndarray) -> dict[str, Any]:
    """Uncompressed run lengths, down the columns, the first of them background."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat.astype(int), [2]])))
    return {"size": list(mask.shape), "counts": np.diff(edges, prepend=0).tolist()}


def rectangle(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


def instance(number: int, image: int, name: str, segmentation: object, **changes: object) -> Content:
    entry = {
        "id": number,
        "image_id": image,
        "category_id": IDS[name],
        "segmentation": segmentation,
        "area": 800.0,
        "iscrowd": 0,
        "bbox": [0, 0, 1, 1],
    }
    return {**entry, **changes}


def subset(first: int) -> Content:
    """Three images with five dogs each as polygons, and what is to be passed over."""
    images = [
        {"id": first + index, "file_name": f"{first + index:012d}.jpg", "height": HEIGHT, "width": WIDTH}
        for index in range(3)
    ]
    annotations = [
        instance(
            10 * first + 5 * index + dog,
            first + index,
            "dog",
            [[5, 5, 45, 5, 45, 25 + 5 * dog, 5, 25 + 5 * dog]],
        )
        for index in range(3)
        for dog in range(5)
    ]
    annotations += [
        instance(10 * first + 900, first, "cat", runs(rectangle(10, 20, 50, 40))),
        instance(10 * first + 901, first, "bird", runs(rectangle(0, 0, 80, 60)), iscrowd=1),
        instance(10 * first + 902, first, "clock", runs(rectangle(0, 0, 5, 5)), area=25.0),
        instance(10 * first + 903, first, "toilet", [[1, 1, 50, 1, 50, 50]], category_id=3),
    ]
    categories = [{"id": number, "name": name} for name, number in IDS.items()]
    return {"info": {}, "images": images, "annotations": annotations, "categories": categories}


def write_subset(coco: Path, name: str, content: Content) -> None:
    (coco / "annotations").mkdir(parents=True, exist_ok=True)
    (coco / "annotations" / f"instances_{name}.json").write_text(json.dumps(content))
    (coco / name).mkdir(exist_ok=True)
    for image in content["images"]:
        pixels = np.full((HEIGHT, WIDTH, 3), 120, np.uint8)
        pixels[:, WIDTH // 2 :] = 220
        Image.fromarray(pixels).save(coco / name / image["file_name"], quality=95)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    write_subset(tmp_path / "coco", "train2017", subset(100))
    write_subset(tmp_path / "coco", "val2017", subset(200))
    return tmp_path / "coco"


def built(coco: Path, out: Path, train: int = 4, test: int = 2, seed: int = 0) -> Built:
    return build(coco, out, {"train": train, "test": test}, seed, 256, None)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def change(coco: Path, name: str, edit: Callable[[Content], object]) -> None:
    path = coco / "annotations" / f"instances_{name}.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_crowds_small_instances_and_other_classes_are_passed_over(coco: Path, tmp_path: Path) -> None:
    report = built(coco, tmp_path / "out")
    none = {"train": 0, "bird": 0, "cat": 1, "toilet": 0, "clock": 0}
    assert report.counts == {"train": {**none, "dog": 4}, "test": {**none, "dog": 2}}
    found = segment6.survey(tmp_path / "out")
    assert [len(found.items[split]) for split in ("train", "test")] == [5, 3]


def test_longer_side_fills_the_image_and_the_rest_is_zero(coco: Path, tmp_path: Path) -> None:
    built(coco, tmp_path / "out")
    found = segment6.survey(tmp_path / "out")
    cat = next(row for row in segment6.read(found.items["test"]) if row[1] == 2)
    image, _, mask = cat
    assert mask is not None
    assert mask[0, 8:24].all() and not mask[0, :8].any() and not mask[0, 24:].any()
    assert not image[:, :8].any() and not image[:, 24:].any()
    # The object spans columns 10 to 50 of the photograph, whose brightness steps at column 40.
    assert abs(int(image[0, 16, 10]) - 120) < 5 and abs(int(image[0, 16, 30]) - 220) < 5


def test_manifest_names_the_annotation_of_each_file(coco: Path, tmp_path: Path) -> None:
    built(coco, tmp_path / "out", train=100, test=100)
    lines = (tmp_path / "out" / "manifest.csv").read_text().splitlines()
    assert lines[0] == "file,annotation_id,image_id" and len(lines) == 1 + 2 * 16
    assert "train_000000001900.png,1900,100" in lines and "test_000000002900.png,2900,200" in lines


def test_same_seed_same_bytes_and_another_seed_another_choice(coco: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        built(coco, tmp_path / name, seed=seed)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    manifests = [(tmp_path / name / "manifest.csv").read_text() for name in ("a", "c")]
    assert manifests[0] != manifests[1]


def test_choice_does_not_depend_on_the_order_in_the_file(coco: Path, tmp_path: Path) -> None:
    built(coco, tmp_path / "a")
    for name in ("train2017", "val2017"):
        change(coco, name, lambda content: content["annotations"].reverse())
    built(coco, tmp_path / "b")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


def test_more_is_the_same_choice_and_more(coco: Path, tmp_path: Path) -> None:
    built(coco, tmp_path / "few", train=3)
    built(coco, tmp_path / "many", train=6)
    few, many = (set(tree(tmp_path / name / "images")) for name in ("few", "many"))
    assert few < many


def test_all_forms_of_a_mask_agree() -> None:
    from pycocotools import mask as coco_mask

    image = CocoImage(1, "a.jpg", HEIGHT, WIDTH)
    generator = np.random.default_rng(0)
    for expected in (rectangle(10, 20, 50, 40), generator.random((HEIGHT, WIDTH)) < 0.5):
        packed = coco_mask.encode(np.asfortranarray(expected.astype(np.uint8)))
        compressed = {"size": packed["size"], "counts": packed["counts"].decode()}
        for segmentation in (runs(expected), compressed):
            np.testing.assert_array_equal(foreground(Instance(1, 1, 7, segmentation), image), expected)
    polygon = [[10, 20, 50, 20, 50, 40, 10, 40], [60, 50, 70, 50, 70, 55, 60, 55]]
    both = rectangle(10, 20, 50, 40) | rectangle(60, 50, 70, 55)
    np.testing.assert_array_equal(foreground(Instance(1, 1, 7, polygon), image), both)


def test_object_that_vanishes_at_32_pixels_is_passed_over_for_the_next(coco: Path, tmp_path: Path) -> None:
    checkered = np.zeros((HEIGHT, WIDTH), np.bool_)
    checkered[::3, ::3] = True

    def spoil(content: Content) -> None:
        for entry in content["annotations"][:10]:
            entry["segmentation"] = runs(checkered)

    change(coco, "train2017", spoil)
    report = built(coco, tmp_path / "out")
    assert report.counts["train"]["dog"] == 4
    passed_over = report.passed_over["train"]
    assert passed_over and set(passed_over) <= set(range(1000, 1010)) and not report.passed_over["test"]


def first_dog(**changes: object) -> Callable[[Content], None]:
    """Changes every dog, so that it does not matter which is chosen."""

    def edit(content: Content) -> None:
        for entry in content["annotations"][:15]:
            entry.update(changes)

    return edit


FULL = HEIGHT * WIDTH


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (first_dog(image_id=7), r"val2017\.json: annotation 2000: its image 7 is not in the images' list"),
        (lambda content: content["images"].pop(), r"val2017\.json: annotation 2010: its image 202 is not in"),
        (
            first_dog(segmentation={"size": [WIDTH, HEIGHT], "counts": [FULL]}),
            r"val2017\.json: annotation \d+: run lengths of size \[80, 60\], its image .*\.jpg is \[60, 80\]",
        ),
        (first_dog(segmentation={"size": [60, 80], "counts": [9]}), "its run lengths are not those of 60x80"),
        (first_dog(segmentation={"size": [60, 80], "counts": [-1, FULL + 1]}), "its run lengths are not"),
        (first_dog(segmentation={"size": [60, 80], "counts": "3T3"}), "its run lengths are not those of"),
        (first_dog(segmentation={"size": [60, 80], "counts": "é"}), "is no polygons or run lengths"),
        (first_dog(segmentation={"counts": [FULL]}), "is no polygons or run lengths"),
        (first_dog(segmentation=None), "is no polygons or run lengths"),
        (first_dog(segmentation=[[1, 2, 3, 4]]), "a polygon is no list of three or more x, y pairs"),
        (first_dog(segmentation=[[1, 2, 3, 4, 5, "a"]]), "a polygon is no list of three"),
        (first_dog(segmentation=[[1, 2, 3, 4, 5, float("nan")]]), "a polygon is no list of three"),
        (first_dog(segmentation=[]), "no polygon; accepted: at least one"),
        (first_dog(id=float("inf")), "annotation inf: id, image_id or area is no number"),
        (first_dog(area="big"), "annotation 2000: id, image_id or area is no number"),
        (first_dog(id=5), "annotation 5 occurs twice"),
        (lambda content: content["annotations"][0].pop("area"), "annotation 2000 lacks area"),
        (lambda content: content["images"][0].pop("width"), r"\.jpg lacks its id, height or width"),
        (lambda content: content.pop("images"), "lacks one of the lists images, annotations, categories"),
        (
            lambda content: content["categories"][0].update(name="boat"),
            "category 7 is boat; accepted: train, as in COCO 2017",
        ),
        (
            lambda content: [image.update(width=81) for image in content["images"]],
            r"\.jpg: 80x60 pixels; accepted: 81x60, as its annotations say",
        ),
        (
            lambda content: content["images"].append({**content["images"][0], "id": 101}),
            "image 101: listed in both train2017 and val2017",
        ),
    ],
)
def test_wrong_annotations_are_refused_in_one_line_and_nothing_is_written(
    coco: Path, tmp_path: Path, edit: Callable[[Content], object], message: str
) -> None:
    change(coco, "val2017", edit)
    with pytest.raises(UserError, match=message) as caught:
        built(coco, tmp_path / "raw" / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "raw").exists() or not list((tmp_path / "raw").iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "val2017.json: No such file or directory; accepted: COCO's instance annotations"),
        (b"", "val2017.json: no whole JSON file (Expecting value: line 1 column 1 (char 0))"),
        (b"[1, 2]", "val2017.json: lacks one of the lists images, annotations, categories"),
        (b'{"images": "\xff"}', "val2017.json: no whole JSON file ('utf-8' codec"),
        (b"[" * 100_000, "val2017.json: no whole JSON file ("),
        (b'{"id": ' + b"9" * 5000 + b"}", "val2017.json: no whole JSON file ("),
    ],
)
def test_file_that_holds_no_annotations_is_refused(
    coco: Path, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = coco / "annotations" / "instances_val2017.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        built(coco, tmp_path / "out")
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_json_cut_in_the_middle_is_refused_wherever_it_is_cut(coco: Path) -> None:
    path = coco / "annotations" / "instances_val2017.json"
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(UserError, match="no whole JSON file .*; unpack COCO's archive again"):
            read_annotations(path, {18: "dog"}, 0)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), r"\.jpg: not found; annotation \d+ is drawn on it"),
        (lambda path: path.write_bytes(b""), r"\.jpg: unreadable image \("),
        (lambda path: path.write_bytes(path.read_bytes()[:700]), r"\.jpg: unreadable image \(.*truncated"),
    ],
)
def test_absent_or_damaged_image_is_named(
    coco: Path, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    for path in (coco / "train2017").iterdir():
        damage(path)
    with pytest.raises(UserError, match=message):
        built(coco, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_found_is_refused(coco: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no object of the six classes covers 5000 pixels or more"):
        build(coco, tmp_path / "out", {"train": 1, "test": 1}, 0, 5000, None)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError])
def test_interruption_leaves_the_earlier_build_alone(
    coco: Path, tmp_path: Path, interruption: type[BaseException]
) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 6:
            raise interruption

    out = tmp_path / "raw" / "out"
    for earlier in (None, {"train": 1, "test": 1}):
        if earlier:
            build(coco, out, earlier, 0, 256, None)
        before = tree(tmp_path / "raw")
        with pytest.raises(interruption):
            build(coco, out, {"train": 4, "test": 2}, 0, 256, interrupt)
        assert tree(tmp_path / "raw") == before
        assert [path.name for path in (tmp_path / "raw").iterdir()] == (["out"] if earlier else [])


def test_progress_counts_to_the_number_of_images(coco: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    build(coco, tmp_path / "out", {"train": 4, "test": 2}, 0, 256, lambda *call: calls.append(call))
    assert calls == [(done, 8) for done in range(1, 9)]


def test_an_earlier_build_is_replaced_and_the_readme_kept(coco: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "README.md").write_text("what goes here")
    built(coco, out, train=9)
    built(coco, out, train=1)
    assert (out / "README.md").read_text() == "what goes here"
    assert len(tree(out / "images")) == len(tree(out / "masks")) == 1 + 1 + 2 + 1


@pytest.mark.parametrize("name", ["mine.txt", "partitions.csv", "images/1.png"])
def test_files_of_the_users_own_are_left_alone(coco: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(UserError, match=r"--out .*out: holds .* and is no earlier build; accepted: an empty"):
        built(coco, tmp_path / "out")
    assert path.read_text() == "mine"


def test_out_that_is_a_file_is_refused(coco: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UserError, match="out: is a file; accepted for --out: a folder, or a free name"):
        built(coco, tmp_path / "out")


def test_without_pycocotools_one_line_says_what_to_install(
    coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment6_build, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pycocotools: not installed.*pip install -e '\.\[coco\]'"):
        built(coco, tmp_path / "out")


def test_command_says_what_it_wrote_and_what_was_too_few(
    coco: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    options = ("--out", str(out), "--train-per-class", "1", "--test-per-class", "16", "--min-area", "800")
    monkeypatch.setattr(sys, "argv", ["dualperturb", "data", "build-segment6", "--coco", str(coco), *options])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert not ended.value.code
    lines = capsys.readouterr().out.splitlines()
    few = f"asked for; {coco} holds no more of that area"
    assert lines[0] == f"{out}: 2 train images" and f"{out}: 16 test images" in lines
    assert f"test: 15 of dog, 16 {few}" in lines and f"train: 0 of bird, 1 {few}" in lines
    assert len([line for line in lines if line.endswith(few)]) == 4 + 6


def test_real_sample_is_built_and_read(tmp_path: Path) -> None:
    if not SAMPLE.is_dir():
        pytest.skip("shared/data/coco-mini absent")
    report = built(SAMPLE, tmp_path / "out", train=5, test=4)
    assert all(count > 0 for counts in report.counts.values() for count in counts.values())
    found = segment6.survey(tmp_path / "out")
    for split, counts in report.counts.items():
        rows = list(segment6.read(segment6.chosen(found, split, "all")))
        labels = np.bincount([label for _, label, _ in rows], minlength=6)
        assert labels.tolist() == list(counts.values())
        assert all(mask is not None and 0.02 < mask.mean() < 0.98 for _, _, mask in rows)
