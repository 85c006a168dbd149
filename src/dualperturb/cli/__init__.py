"""What a person runs by hand: `dualperturb COMMAND`. Nothing imports it.

Commands import what they need when they run, so that `--help` answers at once.
"""

from __future__ import annotations

from dualperturb.cli.commands import app, main

__all__ = ["app", "main"]
