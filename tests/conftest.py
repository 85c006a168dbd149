"""Of all tests: Hypothesis draws the same examples in every run, Ctrl-C is heard, long tests begin first."""

from __future__ import annotations

import os
import signal
from itertools import groupby

# Before anything imports torch: two workers of two threads each would wait for one another's.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=100)
settings.load_profile("repeatable")

# A job in the background ignores Ctrl-C, and so would the programs whose interruption is tested.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Files that take longest, the longest first: they run whole pipelines, or start interpreters.
LONG = (
    *("pipeline/test_sources", "test_ranks", "pipeline/test_ci_report", "stages/test_train"),
    *("pipeline/test_reruns", "peers/test_peers", "pipeline/test_recovery", "stages/test_stages"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let both of two workers begin with long tests, so that they end together.

    Each is given one half of the list to begin with, and at its end takes over the last tests of the other.
    """
    files = {name: list(group) for name, group in groupby(items, lambda item: str(item.path.with_suffix("")))}
    long = [name for end in LONG for name in files if name.endswith(f"/tests/{end}")]
    first, second = ([item for name in long[start::2] for item in files[name]] for start in (0, 1))
    short = [item for name, group in files.items() if name not in long for item in group]
    room = max(0, (len(items) + 1) // 2 - len(first))
    items[:] = [*first, *short[:room], *second, *short[room:]]
