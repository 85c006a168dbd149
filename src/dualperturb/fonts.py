"""Fonts for the names that figures show: installed fonts that have their letters, else an escaped form.

Letters are set one by one from left to right, in Arabic and Hebrew, too, and Arabic letters are not joined.
"""

from __future__ import annotations

from functools import lru_cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

_USUAL = "DejaVu Sans"  # matplotlib's own, which comes with it
_PLACEHOLDERS = ("Last Resort", "LastResort")  # fonts that draw a box for every letter


def shown(name: str) -> str:
    """The name, or, where one of its letters is in no installed font, its form with escapes: "\\u732b"."""
    return name if _fallbacks(_missing(name)) is not None else escaped(name)


def families(text: str) -> list[str]:
    """matplotlib's list of font families for a text that `shown` may have returned."""
    return ["sans-serif", *(entry.name for entry in _fallbacks(_missing(text)) or ())]


def file_of(name: str) -> str | None:
    """The file of one font that has all letters of a name; None where no installed one has."""
    letters = "".join(sorted({letter for letter in name if not letter.isspace()}))
    usual = font_manager.findfont(_USUAL)
    if _draws_all(usual, letters):
        return usual
    entry = _entry_with(letters)
    return entry.fname if entry else None


def escaped(name: str) -> str:
    return name.encode("ascii", "backslashreplace").decode("ascii")


def _missing(text: str) -> str:
    """The letters that the usual font lacks, each once."""
    letters = sorted({letter for letter in text if not (letter.isascii() or letter.isspace())})
    return "".join(letter for letter in letters if not _draws_all(font_manager.findfont(_USUAL), letter))


@lru_cache(maxsize=256)
def _fallbacks(letters: str) -> tuple[font_manager.FontEntry, ...] | None:
    """Fonts that together have the letters, a single one if possible; None where a letter is in no font."""
    if not letters:
        return ()
    whole = _entry_with(letters)
    found = [whole] if whole else [_entry_with(letter) for letter in letters]
    if any(entry is None for entry in found):
        return None
    return tuple({entry.name: entry for entry in found if entry is not None}.values())


@lru_cache(maxsize=1024)
def _entry_with(letters: str) -> font_manager.FontEntry | None:
    return next((entry for entry in _upright() if _draws_all(entry.fname, letters)), None)


@lru_cache(maxsize=1)
def _upright() -> tuple[font_manager.FontEntry, ...]:
    """Installed fonts, the regular cut of each, in the order of their names."""
    regular = [
        entry
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal"
        and entry.weight in (400, "normal", "regular")
        and not entry.name.startswith(_PLACEHOLDERS)
        and getattr(entry, "index", 0) == 0
    ]
    return tuple(sorted(regular, key=lambda entry: (entry.name, entry.fname)))


@lru_cache(maxsize=4096)
def _draws_all(file: str, letters: str) -> bool:
    """Whether a font has outlines of all letters: emoji are often pictures, which matplotlib cannot draw."""
    try:
        font = FT2Font(file)
        return font.scalable and all(_has_outline(font, letter) for letter in letters)
    except (OSError, RuntimeError):  # a damaged font, or one of a kind that cannot be read
        return False


def _has_outline(font: FT2Font, letter: str) -> bool:
    if not font.get_char_index(ord(letter)):
        return False
    font.load_char(ord(letter))
    return len(font.get_path()[1]) > 0
