"""The numbers of shapes6 in the documentation are those of reports/, where the pipeline has run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from dualperturb.figures.names import LOSS_NAMES, label
from tests.markdown import ROOT, rows, section, text

REPORT, RESULTS = ROOT / "reports/report.md", ROOT / "reports/results.csv"
README, STRENGTH, SALIENCY = (ROOT / name for name in ("README.md", "docs/strength.md", "docs/saliency.md"))


@pytest.fixture(scope="module", autouse=True)
def ran() -> None:
    if not (REPORT.is_file() and RESULTS.is_file()):
        pytest.skip("reports/ is empty; make it with: make repro")
    same = ["git", "-C", str(ROOT), "diff", "--quiet", "HEAD", "--", "params.yaml"]
    if subprocess.run(same, capture_output=True, check=False).returncode:
        pytest.skip("params.yaml is not the committed one, so that reports/ may be of another setting")


def shares(page: Path, width: int) -> list[list[str]]:
    """The rows of so many cells that hold intervals of shares, without signs for %."""
    return [
        [cell.replace(" %", "") for cell in row] for row in rows(page) if len(row) == width and "[" in row[-1]
    ]


def test_the_summary() -> None:
    found = [row[:-1] for row in rows(REPORT) if len(row) == 5 and row[-1].isdigit()]
    assert len(found) == 6
    assert shares(README, 4) == [[cell.replace(" %", "") for cell in row] for row in found]


def strong() -> dict[tuple[str, str], list[str]]:
    """Norm and classifier -> what dual and Dual-AutoAttack leave, such as "32.5 [20.1, 48.0]"."""
    found, norm = {}, ""
    for line in text(REPORT).splitlines():
        if line.startswith("####"):
            norm = line.removeprefix("#### Strong attacks, ")
        elif " of 40 |" in line:
            cells = line.replace(" %", "").replace(" of 40", "").strip("| ").split(" | ")
            found[norm, cells[0]] = cells[-2:]
    return found


def test_the_strong_attacks() -> None:
    left, shown = strong(), shares(STRENGTH, 4)
    assert len(shown) == 4 and all(left[norm, name] == cells for norm, name, *cells in shown)
    pgd, strongest = (cell.split()[0] for cell in left["L2", "AT-Dual"])
    assert f"leaves AT-Dual {pgd} % in L2, and Dual-AutoAttack {strongest} %" in " ".join(
        text(README).split()
    )


def test_the_claims_and_the_checks() -> None:
    (tally,) = re.findall(r"(\d+) of (\d+) lines hold", text(REPORT))
    claims = " ".join(section(STRENGTH, "The paper's claims").split())
    assert "{} of its {} lines hold".format(*tally) in claims
    counts = re.findall(r"(\d+) of (\d+) checks warn", text(REPORT))
    warned, checks = (sum(int(count[place]) for count in counts) for place in (0, 1))
    assert f"{warned} of {checks} lines warns" in section(STRENGTH, "The page's checks")


def test_the_salience_weights() -> None:
    results = pd.read_csv(RESULTS)
    points = results[(results["axis"] == "salience_weight") & (results["attack"] == "dual")]
    expected = {
        f"{label(str(defence))}, {LOSS_NAMES[str(loss)]}": [
            f"{100 * accuracy:.1f} / {score:.2f}"
            for accuracy, score in own.sort_values("value")[["accuracy", "foreground_score"]].to_numpy()
        ]
        for (defence, loss), own in points.groupby(["defence", "loss"])
    }
    shown = {row[0]: row[1:] for row in rows(SALIENCY) if row[-1].count(" / ") == 1 and " {" not in row[0]}
    assert shown == expected != {}
    weak, full = (float(expected["AT-PGD, cross-entropy"][place].split()[0]) for place in (0, 2))
    assert f"rises from {weak:.0f} to {full:.0f} %" in " ".join(text(SALIENCY).split())
