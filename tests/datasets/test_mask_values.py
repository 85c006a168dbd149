"""What is foreground in mask files as background removers, labelling tools and data sets write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from dualperturb.datasets.reading.decode import UnreadableError, open_mask
from dualperturb.datasets.reading.mask_values import Labels
from dualperturb.errors import UserError

SIDE = 48
VOC = [channel for index in range(256) for channel in (index, 255 - index, 128 * (index % 2))]
VOC[:3] = [0, 0, 0]


def disc(inside: int = 255, outside: int = 0) -> Image.Image:
    image = Image.new("L", (SIDE, SIDE), outside)
    ImageDraw.Draw(image).ellipse((10, 12, 34, 38), fill=inside)
    return image


DISC = np.asarray(disc()) > 0


def soft() -> Image.Image:
    """The disc, antialiased."""
    large = disc().resize((8 * SIDE,) * 2, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(2))
    return large.resize((SIDE, SIDE), Image.Resampling.BOX)


def cut_out(colour: tuple[int, int, int], mode: str = "RGBA") -> Image.Image:
    """An object of many colours on transparent pixels of one colour."""
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    image = Image.composite(Image.fromarray(noise), Image.new("RGB", (SIDE, SIDE), colour), disc())
    image.putalpha(disc())
    return image.convert(mode)


def wide(values: np.ndarray) -> Image.Image:
    return Image.fromarray(values.astype(np.uint16))


def palette(indices: Image.Image, colours: list[int]) -> Image.Image:
    image = Image.fromarray(np.asarray(indices))
    image.putpalette(colours)
    return image


def read(tmp_path: Path, image: Image.Image, suffix: str = "png", **options: Any) -> np.ndarray:
    labels = Labels(options.pop("foreground", ()), options.pop("ignore", ()))
    image.save(tmp_path / f"mask.{suffix}", **options)
    return np.asarray(open_mask(tmp_path / f"mask.{suffix}", labels)) > 0


GOOD: dict[str, tuple[Image.Image, dict[str, Any]]] = {
    "cut out, transparent white": (cut_out((255, 255, 255)), {}),
    "cut out, transparent black": (cut_out((0, 0, 0)), {}),
    "grey cut out": (cut_out((255, 255, 255), "LA"), {}),
    "16-bit with a transparent value": (wide(np.where(DISC, 40000, 60000)), {"transparency": 60000}),
    "palette with a transparent index": (palette(disc(1, 0), VOC), {"transparency": 0}),
    "colours with a transparent one": (
        Image.merge("RGB", (disc(200, 255),) * 3),
        {"transparency": (255, 255, 255)},
    ),
    "opaque alpha, black and white": (Image.merge("RGBA", (*(disc(),) * 3, disc(255, 255))), {}),
    "one bit": (disc().convert("1"), {}),
    "0 and 1": (disc(1), {}),
    "dark and light grey": (disc(220, 30), {}),
    "16 bits, 0 and 65535": (wide(DISC * 65535), {}),
    "16 bits, 0 and 1": (wide(DISC * 1), {}),
    "labels of a palette": (palette(disc(3), VOC), {}),
    "a GIF whose palette begins with white": (
        palette(disc(0, 1), [255, 255, 255, 0, 0, 0]),
        {"suffix": "gif"},
    ),
    "red on black": (Image.merge("RGB", (disc(), disc(0), disc(0))), {}),
    "a chosen label": (disc(3), {"foreground": (3,)}),
    "chosen by index": (palette(disc(3, 1), VOC), {"foreground": (3,)}),
    "a label and what is ignored beside it": (disc(255), {"foreground": (3,), "ignore": (255,)}),
}
GOOD["a label and what is ignored beside it"][0].paste(3, (20, 20, 30, 30))


@pytest.mark.parametrize("name", GOOD)
def test_the_foreground_is_the_disc(tmp_path: Path, name: str) -> None:
    image, options = GOOD[name]
    assert np.array_equal(read(tmp_path, image, **options), DISC)


@pytest.mark.parametrize(
    ("suffix", "options"), [("png", {}), ("jpg", {"quality": 30}), ("jpg", {"quality": 95})]
)
@pytest.mark.parametrize("image", [soft(), disc(), soft().filter(ImageFilter.GaussianBlur(3))])
def test_soft_edges_are_cut_in_the_middle(
    tmp_path: Path, image: Image.Image, suffix: str, options: dict[str, int]
) -> None:
    found = read(tmp_path, image, suffix, **options)
    assert (found != (np.asarray(image) > 127)).mean() < 0.01
    assert np.array_equal(found, np.asarray(Image.open(tmp_path / f"mask.{suffix}")) > 127)


@pytest.mark.parametrize(
    ("image", "full"),
    [
        (Image.new("L", (SIDE, SIDE), 0), False),
        (Image.new("L", (SIDE, SIDE), 255), True),
        (Image.new("L", (SIDE, SIDE), 1), True),
        (Image.new("1", (SIDE, SIDE), 1), True),
        (Image.new("RGBA", (SIDE, SIDE), "black"), False),
        (wide(np.full((SIDE, SIDE), 65535)), True),
    ],
)
def test_empty_and_full_masks_are_masks(tmp_path: Path, image: Image.Image, full: bool) -> None:
    assert (read(tmp_path, image) == full).all()


def test_a_mask_that_once_was_a_jpeg_is_read(tmp_path: Path) -> None:
    disc().save(tmp_path / "first.jpg", quality=95)
    with Image.open(tmp_path / "first.jpg") as image:
        assert len(np.unique(np.asarray(image))) > 8
        assert np.array_equal(read(tmp_path, image.copy()), DISC)


def void(inside: int, border: int) -> Image.Image:
    """An object within a border of four pixels."""
    image = disc(border)
    ImageDraw.Draw(image).ellipse((14, 16, 30, 34), fill=inside)
    return image


BAD: dict[str, tuple[Image.Image, dict[str, Any], str]] = {
    "labels and their void border": (
        void(3, 255),
        {},
        "holds the values 0, 3, 255; accepted: 0 and one other",
    ),
    "a thin object in its void border": (
        Image.fromarray(np.tile(np.array([0, 255, 3, 3, 255, 0], np.uint8), (SIDE, SIDE // 6))),
        {},
        "holds the values 0, 3, 255",
    ),
    "a thin object of another label": (
        Image.fromarray(np.tile(np.array([0, 255, 100, 100, 255, 0], np.uint8), (SIDE, SIDE // 6))),
        {},
        "holds the values 0, 100, 255",
    ),
    "a palette's": (palette(void(3, 255), VOC), {}, "holds the values 0, 3, 255"),
    "a palette's void border alone": (palette(void(0, 255), VOC), {}, "holds the values 0, 255; "),
    "two labels": (void(1, 2), {}, "holds the values 0, 1, 2; .*<dataset>.masks.files.foreground"),
    "a trimap": (void(255, 128), {}, "holds the values 0, 128, 255"),
    "labels from 1 on": (disc(2, 1), {}, "holds the values 1, 2;"),
    "16-bit labels": (wide(np.asarray(void(3, 7))), {}, "holds the values 0, 3, 7"),
    "a grey area": (Image.new("L", (SIDE, SIDE), 90), {}, "holds the value 90;"),
    "a colour map": (
        Image.merge("RGB", (disc(), void(9, 90), disc(0))),
        {},
        "a picture of 3 colours; accepted",
    ),
    "a grey photograph": (
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), np.uint8)),
        {},
        "and 248 more",
    ),
    "an opaque photograph": (Image.effect_mandelbrot((SIDE, SIDE), (-2, -1, 1, 1), 50), {}, "holds the val"),
    "a faint alpha": (Image.merge("LA", (disc(), disc(90))), {}, "its alpha channel holds 0 to 90; accepted"),
    "transparent of one colour": (
        Image.new("RGBA", (SIDE, SIDE), (255, 255, 255, 0)),
        {},
        "transparent everywhere",
    ),
    "labels in a JPEG": (void(3, 255), {"suffix": "jpg", "foreground": (3,)}, "a JPEG, which does not keep"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_could_be_read_in_two_ways_is_one_line(tmp_path: Path, name: str) -> None:
    image, options, line = BAD[name]
    with pytest.raises(UserError, match=rf"mask\.(png|jpg): .*{line}") as caught:
        read(tmp_path, image, **options)
    assert "\n" not in str(caught.value)


def test_ignored_pixels_are_foreground_where_they_touch_it(tmp_path: Path) -> None:
    labels = void(3, 255)
    labels.paste(255, (40, 2, 46, 8))  # ignored, and nowhere near
    assert np.array_equal(read(tmp_path, labels, foreground=(3,), ignore=(255,)), DISC)
    assert np.array_equal(read(tmp_path, labels, ignore=(255,)), DISC)
    assert not read(tmp_path, labels, foreground=(7,), ignore=(255,)).any()


@pytest.mark.parametrize("name", ["mask.gif", "mask.png", "mask.tif"])
def test_of_several_frames_none_is_the_mask(tmp_path: Path, name: str) -> None:
    frames = [Image.new("L", (8, 8), 255 * number) for number in range(3)]
    for frame in frames:
        frame.paste(255, (0, 0, 4, 4))
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    with pytest.raises(UnreadableError, match="frames, expected one$"):
        open_mask(tmp_path / name)
