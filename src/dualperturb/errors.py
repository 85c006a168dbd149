"""The one exception that is shown to a user as a single line, without a traceback."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake in what the user gave: a parameter, a file or an argument.

    The message is one line: which key, file or argument, what was found, and what is accepted.
    """
