"""Names in one Unicode form: a Mac's archive writes "o" and a diaeresis where others write one letter."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from dualperturb.errors import UserError


def nfc(name: str) -> str:
    """The composed form, in which names are compared."""
    return unicodedata.normalize("NFC", name)


def by_name(paths: Iterable[Path]) -> dict[str, Path]:
    """Name in NFC -> path, sorted. Raises UserError for two in one folder that differ in form alone."""
    found: dict[str, Path] = {}
    for path in paths:
        name = nfc(path.name)
        if name in found:
            raise UserError(
                f"{path}: lies beside {found[name].name!a}, the same name in another Unicode form, "
                f"{path.name!a}; rename one"
            )
        found[name] = path
    return dict(sorted(found.items()))
