"""The gallery's data: pictures that decode to what they show, outlines, factors, names."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from dualperturb.report.encoding import outline_path, picture_uri
from dualperturb.report.gallery import gallery_data, magnification
from tests.small_tables import small_gallery


def pixels(uri: str) -> np.ndarray:
    """(3, H, W) in [0, 1]."""
    image = Image.open(io.BytesIO(base64.b64decode(uri.partition(";base64,")[2])))
    return np.asarray(image.convert("RGB"), dtype=np.float64).transpose(2, 0, 1) / 255


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    return small_gallery()


def test_every_card_shows_its_example_and_its_perturbation(arrays: dict[str, np.ndarray]) -> None:
    data = gallery_data(arrays)
    for c, a, k in ((0, 0, 0), (4, 3, 2), (2, 1, 1)):
        card, example = data["examples"][c][a][k], arrays["examples"][c, a, k].astype(np.float64)
        assert np.abs(pixels(card["picture"]) - example).max() <= 0.5 / 255 + 1e-9
        shown = (pixels(card["perturbation"]) - 0.5) / card["factor"]
        delta, reach = example - arrays["original"][k], 0.5 / card["factor"]
        assert (np.abs(delta) > reach).mean() <= 0.021 and (np.abs(delta) > reach / 2.5).mean() > 0.02
        assert np.abs(shown - delta.clip(-reach, reach)).max() <= 0.5 / 255 / card["factor"] + 1e-3
        assert card["predicted"] == arrays["predicted"][c, a, k] and card["confidence"] == 0.875
    assert np.abs(pixels(data["images"][1]["picture"]) - arrays["original"][1]).max() <= 0.5 / 255 + 1e-6


def test_an_unchanged_pixel_is_mid_grey_whatever_the_factor(arrays: dict[str, np.ndarray]) -> None:
    same = {**arrays, "examples": np.broadcast_to(arrays["original"], arrays["examples"].shape)}
    card = gallery_data({**same, "examples": same["examples"].astype(np.float16)})["examples"][0][0][0]
    assert card["factor"] == 100 and set(np.unique(pixels(card["perturbation"]) * 255)) == {128}


def test_the_factor_is_the_largest_that_saturates_few_of_the_changes() -> None:
    for most, factor in ((1.0, 0.5), (0.5, 1), (0.26, 1), (0.25, 2), (0.02, 20), (0.001, 100)):
        assert magnification(np.array([0.0, -most])) == factor
    assert magnification(np.array([0.01] * 999 + [1.0])) == 50
    assert magnification(np.array([0.0] * 999 + [1.0])) == 0.5
    assert magnification(np.zeros(9)) == 100


def test_names_and_counts_are_those_of_the_arrays(arrays: dict[str, np.ndarray]) -> None:
    data = gallery_data(arrays)
    assert data["classes"] == list(arrays["class_names"])
    assert data["classifiers"] == [
        *("AT-Dual (L2)", "AT-Dual (L-infinity)", "AT-PGD (L2)", "AT-PGD (L-infinity)", "Clean"),
    ]
    assert data["attacks"][0] == {"name": "PGD (L2)", "norm": "L2"}
    renamed = {**arrays, "attacks": np.array(["PGD (Linf)"] * 4), "norms": np.array(["Linf"] * 4)}
    assert gallery_data(renamed)["attacks"][0] == {"name": "PGD (L-infinity)", "norm": "L-infinity"}
    assert np.shape(data["examples"]) == (5, 4, 3)
    assert json.loads(json.dumps(data)) == data
    assert gallery_data(small_gallery(("L2",)))["classifiers"] == ["AT-Dual", "AT-PGD", "Clean"]


def test_small_pictures_are_lossless_and_large_ones_small() -> None:
    random = np.random.default_rng(0)
    assert picture_uri(random.random((3, 64, 64))).startswith("data:image/png;")
    ramp = np.broadcast_to(np.linspace(0, 1, 224), (3, 224, 224))
    large = picture_uri(ramp)
    assert large.startswith("data:image/webp;") and len(large) < 10_000
    assert np.abs(pixels(large) - ramp).max() < 0.05


def test_the_outline_runs_between_the_pixels() -> None:
    mask = np.zeros((4, 5), dtype=bool)
    mask[1:3, 2:4] = True
    strokes = {f"M{part}" for part in outline_path(mask).split("M") if part}
    assert strokes == {"M2 1h2", "M2 3h2", "M2 1v2", "M4 1v2"}


def test_an_empty_and_a_full_mask_have_no_outline() -> None:
    assert outline_path(np.zeros((3, 3), dtype=bool)) == outline_path(np.ones((3, 3), dtype=bool)) == ""
