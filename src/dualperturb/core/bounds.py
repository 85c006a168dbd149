"""Bounds on the foreground score as `pgd` and params.yaml write them, such as "clean-0.05". No torch."""

from __future__ import annotations

import re

ACCEPTED = 'a number from 0 to 1, "clean", or such as "clean-0.05" or "clean+0.05"'
_RELATIVE = re.compile(r"clean([+-]\d+(?:\.\d+)?)?")


def reserve(bound: str) -> float | None:
    """What a bound relative to the clean image's score adds to it, from -1 to 1; None for other texts."""
    found = _RELATIVE.fullmatch(bound)
    added = float(found[1] or 0) if found else None
    return None if added is None or abs(added) > 1 else added
