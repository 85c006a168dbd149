from __future__ import annotations

import re
from hashlib import md5
from pathlib import Path

import numpy as np
import PIL
import pytest

from dualperturb.datasets.shapes6 import drawing as shapes6
from dualperturb.datasets.shapes6 import parts
from dualperturb.datasets.shapes6.backgrounds import PAINTERS, draw_background
from dualperturb.datasets.shapes6.objects import BUILDERS, ROLES, draw_object
from dualperturb.errors import UserError

CONSTRAINTS = (Path(__file__).resolve().parents[2] / "constraints.txt").read_text(encoding="utf-8")
PINNED = re.findall(r"^pillow==(\S+)", CONSTRAINTS, re.MULTILINE)[0]
DRAWN = "5f212068ce45c796e26d5b65c2cc8afd"


def _kinds(count: int, background_match: float) -> np.ndarray:
    """The background shown by each of the first `count` training images."""
    return np.array([shapes6._draw_one(3, "train", i, i % 6, background_match)[2] for i in range(count)])


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return shapes6.draw(600, seed=3, split="train")


def test_shapes_types_and_range(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    images, labels, foreground = drawn
    assert images.shape == (600, 3, 32, 32) and images.dtype == np.uint8
    assert labels.shape == (600,) and labels.dtype == np.int64
    assert foreground.shape == (600, 1, 32, 32) and foreground.dtype == bool
    assert images.min() < 30 and images.max() > 225


def test_labels_are_balanced_and_name_every_class(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    assert np.bincount(drawn[1]).tolist() == [100] * len(shapes6.CLASS_NAMES)
    assert len(BUILDERS) == len(PAINTERS) == len(shapes6.CLASS_NAMES)


def test_image_depends_on_its_index_and_not_on_the_count() -> None:
    few, many = shapes6.draw(7, 5, "test"), shapes6.draw(20, 5, "test")
    for short, long in zip(few, many, strict=True):
        assert short.tobytes() == long[:7].tobytes()
    for later, long in zip(shapes6.draw(8, 5, "test", first=12), many, strict=True):
        assert later.tobytes() == long[12:].tobytes()


def test_rows_are_those_of_draw_for_any_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART", 7)  # the last part is a smaller one
    expected = list(zip(*shapes6.draw(19, 5, "train", 0.4), strict=True))
    for processes in (1, 2):
        monkeypatch.setattr(parts, "processes_for", lambda count, p=processes: p)
        found = list(parts.rows(19, 5, "train", 0.4))
        assert len(found) == 19 and all(type(label) is int for _, label, _ in found)
        for own, other in zip(found, expected, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(own, other, strict=True))


@pytest.mark.parametrize(("seed", "split"), [(5, "train"), (6, "test")])
def test_another_split_or_seed_gives_other_images_and_masks(seed: int, split: str) -> None:
    images, _, foreground = shapes6.draw(30, 5, "test")
    other_images, _, other_foreground = shapes6.draw(30, seed, split)
    seen = {image.tobytes() for image in images}
    assert not seen & {image.tobytes() for image in other_images}
    assert (foreground != other_foreground).any(axis=(1, 2, 3)).all()


def test_foreground_is_about_a_third_of_the_image(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    share = drawn[2].mean(axis=(1, 2, 3))
    assert 0.30 < share.mean() < 0.40
    assert share.min() > 0.15 and share.max() < 0.60
    assert share.std() > 0.04


@pytest.mark.parametrize("background_match", [0.0, 0.7, 1.0])
def test_background_goes_with_the_class_as_often_as_asked(background_match: float) -> None:
    kinds = _kinds(600, background_match)
    matches = kinds == np.arange(600) % 6
    assert matches.mean() == pytest.approx(background_match, abs=0.06 if 0 < background_match < 1 else 0.0)
    if background_match < 1:
        assert set((kinds - np.arange(600))[~matches] % 6) == {1, 2, 3, 4, 5}


def test_another_background_leaves_the_mask_alone() -> None:
    own, _, foreground = shapes6.draw(60, 3, "train", background_match=1.0)
    foreign, _, same_foreground = shapes6.draw(60, 3, "train", background_match=0.0)
    assert (foreground == same_foreground).all()
    change = np.abs(own.astype(int) - foreign.astype(int)).mean(axis=1, keepdims=True)
    assert change[~foreground].mean() > 25


def test_every_purpose_of_every_image_has_its_own_stream() -> None:
    keys = [
        (seed, split, i, p) for seed in (0, 1) for split in shapes6.SPLITS for i in (0, 1) for p in range(3)
    ]
    assert len({shapes6._stream(*key).random() for key in keys}) == len(keys)


def test_mask_is_where_the_object_covers_most_of_a_pixel() -> None:
    roles = draw_object(shapes6._stream(3, "train", 4, 0), 4, 128)
    _, foreground, _ = shapes6._draw_one(3, "train", 4, 4, 0.7)
    share = (roles > 0).reshape(32, 4, 32, 4).mean(axis=(1, 3))
    assert (foreground[0] == (share > 0.5)).all()


@pytest.mark.parametrize("label", range(6))
def test_every_object_shows_a_body_and_at_least_two_more_parts(label: int) -> None:
    for index in range(20):
        roles = draw_object(np.random.default_rng(index), label, 128)
        shown = np.bincount(roles.ravel(), minlength=1 + ROLES)[1:]
        assert shown[0] > 0 and np.count_nonzero(shown) >= 3


def test_kinds_of_background_differ_in_their_mean_picture() -> None:
    means = [
        np.mean([draw_background(np.random.default_rng(i), kind, 32) for i in range(40)], axis=0)
        for kind in range(6)
    ]
    for kind, mean in enumerate(means):
        nearest = min(np.abs(mean - other).mean() for other in means[:kind] + means[kind + 1 :])
        assert nearest > 10


def test_objects_stand_out_from_their_background(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    images, _, foreground = drawn
    inside = (images * foreground).sum(axis=(2, 3)) / foreground.sum(axis=(2, 3))
    outside = (images * ~foreground).sum(axis=(2, 3)) / (~foreground).sum(axis=(2, 3))
    assert np.median(np.linalg.norm(inside - outside, axis=1)) > 50


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((0, 0, "train", 0.7), "count"),
        ((6, -1, "train", 0.7), "seed"),
        ((6, 0, "val", 0.7), "split"),
        ((6, 0, "train", 1.2), "background_match"),
        ((6, 0, "train", float("nan")), "background_match"),
    ],
)
def test_wrong_argument_is_named_in_one_line(arguments: tuple[int, int, str, float], word: str) -> None:
    with pytest.raises(UserError, match=word) as error:
        shapes6.draw(*arguments)
    assert "accepted" in str(error.value) and "\n" not in str(error.value)


def test_the_pixels_are_those_that_results_were_measured_on() -> None:
    if PIL.__version__ != PINNED:
        pytest.skip(f"Pillow {PIL.__version__} may draw edges otherwise; install what was measured: {PINNED}")
    images, _, foreground = shapes6.draw(60, 0, "train")
    assert md5(images.tobytes() + foreground.tobytes()).hexdigest() == DRAWN
