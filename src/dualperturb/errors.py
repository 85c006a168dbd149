"""The one exception that is shown to a user as a single line, without a traceback, and a line's usual end."""

from __future__ import annotations

# How a damaged file of the pipeline comes back: DVC by itself may restore the damaged one from its cache.
REMAKE = "make it anew with: dualperturb workflow verify && dvc repro"


class UserError(ValueError):
    """A mistake in what the user gave: a parameter, a file or an argument.

    The message is one line: which key, file or argument, what was found, and what is accepted.
    """
