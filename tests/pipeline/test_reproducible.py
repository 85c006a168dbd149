"""Two clones that share no cache come to the same bytes."""

from __future__ import annotations

from tests.pipeline.workspace import Workspace

# They hold or show the seconds that stages took.
TIMED = ("reports/times/", "reports/index.html", "reports/report.md")


def hashes(clone: Workspace) -> dict[str, str]:
    outs = [out for stage in clone.lock().values() for out in stage["outs"]]
    return {out["path"]: out["md5"] for out in outs if not out["path"].startswith(TIMED)}


def test_two_clones_agree(complete: Workspace, plain: Workspace) -> None:
    one, other = hashes(complete), hashes(plain)
    compared = {"data/prepared/shapes6", "data/masks/shapes6", "reports/results.csv", "reports/curves/eps"}
    assert compared < one.keys()
    assert one == other
