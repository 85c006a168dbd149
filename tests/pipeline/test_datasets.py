"""A data set that is dropped from `datasets` leaves no trace in the report, whatever still lies on disk."""

from __future__ import annotations

import json
from pathlib import Path

from tests.pipeline.folder_set import CLASSES, TINY_FOLDER, write_photos
from tests.pipeline.workspace import Workspace

REPORTS = ("index.html", "report.md", "results.csv", "metrics.json", "curves")


def report_files(root: Path) -> list[Path]:
    found = [root / "reports" / name for name in REPORTS]
    return [
        file for path in found for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()
    ]


def naming(root: Path, words: tuple[str, ...]) -> list[str]:
    """The report's files that hold one of the words, or have one in their name."""
    return sorted(
        str(file.relative_to(root))
        for file in report_files(root)
        if any(word in file.name or word in file.read_text() for word in words)
    )


def test_dropped_data_set_leaves_no_trace(workspace: Workspace) -> None:
    write_photos(workspace.root / "data/raw/folder")
    words = ("folder", *CLASSES)
    before = naming(workspace.root, words)
    workspace.change(TINY_FOLDER | {"datasets": ["shapes6", "folder"]})
    added = workspace.repro().check().stages
    assert {stage for stage in added if "@" not in stage} == {"tables", "report"}
    assert all("shapes6" not in stage for stage in added if not stage.startswith("figures@"))
    both = naming(workspace.root, words)
    assert set(json.loads((workspace.root / "reports/metrics.json").read_text())) == {"shapes6", "folder"}

    workspace.change({"datasets": ["shapes6"]})
    assert set(workspace.repro().check().stages) == {"tables", "figures@shapes6", "report"}
    assert before == naming(workspace.root, words) == []
    assert {"reports/index.html", "reports/report.md", "reports/curves/eps/folder_L2.csv"} < set(both)
    assert set(json.loads((workspace.root / "reports/metrics.json").read_text())) == {"shapes6"}
