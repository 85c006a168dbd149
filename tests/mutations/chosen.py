"""A plugin of pytest: it runs the tests that a file lists, or records what each passed test took."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LIST = "MUTATIONS_LIST"
RECORD = "MUTATIONS_RECORD"
CONFIG = "MUTATIONS_COVERAGE"

_seconds: dict[str, float] = {}
_failed: set[str] = set()
_tracer: Callable[..., Any] | None = None


def pytest_configure(config: pytest.Config) -> None:
    # Here and not around pytest: xdist starts its workers as programs, too, and pytest-cov measures those.
    if CONFIG in os.environ and hasattr(config, "workerinput"):
        os.environ["COVERAGE_PROCESS_START"] = os.environ[CONFIG]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if LIST in os.environ:
        listed = set(json.loads(Path(os.environ[LIST]).read_text()))
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in listed])
        items[:] = [item for item in items if item.nodeid in listed]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Resume what measures coverage: libraries that a test calls may have ended it, as pyautoattack does."""
    global _tracer
    _tracer = sys.gettrace() or _tracer
    sys.settrace(_tracer)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds[report.nodeid] = _seconds.get(report.nodeid, 0) + report.duration
    if not report.passed:
        _failed.add(report.nodeid)


def pytest_unconfigure(config: pytest.Config) -> None:
    if RECORD in os.environ and not hasattr(config, "workerinput"):
        passed = {test: round(taken, 3) for test, taken in _seconds.items() if test not in _failed}
        Path(os.environ[RECORD]).write_text(json.dumps(passed, indent=1))
