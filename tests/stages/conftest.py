"""Stages that a test runs in its own process work there alone: others would not see what it replaces."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.by_norm.gpu_files", lambda: True)
