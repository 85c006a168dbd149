"""Names in letters of any script: a font that has them, or an escaped form, and never a box."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from dualperturb import fonts
from dualperturb.core.images import ImageSet
from dualperturb.datasets.check import contact_sheet
from dualperturb.figures import save
from dualperturb.figures.dual_examples import dual_pictures
from tests.small_tables import Look, small_examples

CAT = "猫"


def build_font(path: Path, letters: str, outlines: bool = True) -> Path:
    """A font whose letters are all filled squares, or nothing."""
    pen = TTGlyphPen(None)
    if outlines:
        pen.moveTo((0, 0))
        for corner in ((0, 900), (900, 900), (900, 0)):
            pen.lineTo(corner)
        pen.closePath()
    names = [".notdef", *(f"u{ord(letter):X}" for letter in letters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(dict(zip(map(ord, letters), names[1:], strict=True)))
    builder.setupGlyf({names[0]: TTGlyphPen(None).glyph(), **dict.fromkeys(names[1:], pen.glyph())})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


@pytest.fixture
def only_usual(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a machine that has matplotlib's own fonts alone."""
    own = Path(font_manager.findfont("DejaVu Sans")).parent
    entries = [entry for entry in font_manager.fontManager.ttflist if Path(entry.fname).parent == own]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", entries)
    forget()
    yield
    forget()


def forget() -> None:
    for cached in (fonts._fallbacks, fonts._entry_with, fonts._upright):
        cached.cache_clear()


def drawn(tmp_path: Path, name: str) -> bytes:
    """The bytes of Figure 1 where the first class has this name; a warning, as of a missing glyph, fails."""
    examples = small_examples()["dual"]
    examples["class_names"] = np.array([name, *examples["class_names"][1:]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return save(dual_pictures(examples, Look()), tmp_path / "figure")[0].read_bytes()


@pytest.mark.parametrize("name", [CAT, "🐈", "a 猫 🐈"])
def test_names_without_a_font_are_shown_escaped(tmp_path: Path, only_usual: None, name: str) -> None:
    assert drawn(tmp_path, name) == drawn(tmp_path, fonts.escaped(name))


def test_names_are_drawn_in_a_font_that_has_them(tmp_path: Path, only_usual: None) -> None:
    escaped = drawn(tmp_path, CAT)
    font_manager.fontManager.addfont(build_font(tmp_path / "Empty Boxes.ttf", CAT, outlines=False))
    forget()
    assert fonts.shown(CAT) == r"\u732b"  # a font whose letters are pictures has no outlines
    font_manager.fontManager.addfont(build_font(tmp_path / "Squares.ttf", CAT))
    forget()
    assert (fonts.shown(f"a {CAT}"), fonts.families(CAT)) == (f"a {CAT}", ["sans-serif", "Squares"])
    assert drawn(tmp_path, CAT) != escaped
    assert fonts.file_of(CAT) == str(tmp_path / "Squares.ttf")


@pytest.mark.parametrize("name", ["cat", "Möwe", "кошка", "γάτα"])
def test_names_that_the_usual_font_has_stay_as_they_are(name: str, only_usual: None) -> None:
    assert (fonts.shown(name), fonts.families(name)) == (name, ["sans-serif"])


def test_the_contact_sheet_shows_no_boxes(only_usual: None) -> None:
    def sheet(name: str) -> bytes:
        images = ImageSet(np.zeros((1, 3, 4, 4), np.uint8), np.array([0]), (name,))
        return contact_sheet(images, columns=1).tobytes()

    assert sheet(CAT) == sheet(fonts.escaped(CAT))
    assert sheet("кошка") not in (sheet("□□□□□"), sheet("пёс"))
