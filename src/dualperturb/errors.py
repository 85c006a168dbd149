"""The one exception that a user sees as a single line, without a traceback, and that line's usual end."""

from __future__ import annotations

# How to get a damaged file of the pipeline back: DVC by itself may restore the damaged one from its cache.
REMAKE = "make it anew with: dualperturb workflow verify && dvc repro"


class UserError(ValueError):
    """A mistake in what the user gave: a parameter, a file or an argument.

    The message is one line: which key, file or argument, what was found, and what is accepted.
    """
