"""The numbers of shapes6 in the documentation are those of reports/, where the pipeline has run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from dualperturb.evaluation.tidy import wide
from dualperturb.figures.names import LOSS_NAMES, NORM_NAMES, label
from dualperturb.figures.smoothing import smoothing_table
from dualperturb.figures.texts import interval_text
from tests.markdown import ROOT, rows, section, text

REPORT, RESULTS = ROOT / "reports/report.md", ROOT / "reports/results.csv"
README, DOCS = ROOT / "README.md", ROOT / "docs"
CIFAR10 = DOCS / "results/cifar10"
STRENGTH, SALIENCY, UNSUSPICIOUS = (DOCS / f"{name}.md" for name in ("strength", "saliency", "unsuspicious"))


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


def summary(report: Path) -> list[list[str]]:
    """The rows of both norms' summaries, without n and without signs for %."""
    found = [row[:-1] for row in rows(report) if len(row) == 8 and re.fullmatch(r"[\d /]+", row[-1])]
    assert len(found) == 6
    return [[cell.replace(" %", "") for cell in row] for row in found]


def test_the_summaries() -> None:
    """Of photographs in L2, then of shapes6 in both norms."""
    assert shares(README, 7) == summary(CIFAR10 / "report.md")[:3] + summary(REPORT)


def test_the_page_of_cifar10_tells_its_report() -> None:
    found, page = text(CIFAR10 / "report.md"), " ".join(text(CIFAR10 / "README.md").split())
    (tally,) = re.findall(r"(\d+) of 41 lines hold, (\d+) fail, (\d+) are open", found)
    assert "Of the paper's 41 lines {} hold, {} fail and {} are open".format(*tally) in page
    holding = re.findall(r"(\d+) of 41 lines hold", text(REPORT))[0]
    told = " ".join(text(README).split())
    assert f"Of the paper's 41 claims {tally[0]} hold on CIFAR-10 and {holding} on shapes6" in told
    (in_l2, in_linf) = re.findall(r"\| AT-Dual \|.* \| ([\d.]+) % \[[\d., ]+\] of 40 \|\n", found)
    assert f"leaves it {in_l2} %" in told and f"Dual-AutoAttack leaves AT-Dual {in_l2} %" in page
    assert f"in L2 and {in_linf} %" in page


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


def test_unsuspicious_adversarial_accuracy() -> None:
    results = wide(pd.read_csv(RESULTS))
    curve, judged = (results[results["axis"] == axis] for axis in ("bound", "unsuspicious"))
    plain, high = (curve[curve["value"] == bound] for bound in (0, 0.9))
    columns = [
        (plain, "dual", "builtin"),
        (judged, "constrained", "builtin"),
        (judged, "constrained", "unseen"),
    ]
    columns += [(judged, "guided", "unseen"), (judged, "any", "builtin"), (high, "any", "builtin")]
    columns.append((judged, "any", "unseen"))
    expected = {}
    for norm in ("L2", "Linf"):
        for defence in ("clean", "at_pgd", "at_dual"):
            own = {"defence": defence, "norm": norm}
            cells = [one(table, attack=attack, judge=judge, **own) for table, attack, judge in columns]
            expected[f"{label(defence)}, {NORM_NAMES[norm]}"] = cells
    shown = {row[0]: row[1:] for row in rows(UNSUSPICIOUS) if len(row) == 8 and "[" in row[-1]}
    assert shown == expected


def one(table: pd.DataFrame, **where: str) -> str:
    """The only row's accuracy, without signs for %."""
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return interval_text(table.iloc[0]).replace(" %", "")


def test_the_claims_and_the_checks() -> None:
    (tally,) = re.findall(r"(\d+) of (\d+) lines hold, (\d+) fail, (\d+) are open", text(REPORT))
    claims = " ".join(section(STRENGTH, "The paper's claims").split())
    assert "{} of its {} lines hold on shapes6, {} fail and {} are open".format(*tally) in claims
    counts = re.findall(r"(\d+) of (\d+) checks warn", text(REPORT))
    warned, checks = (sum(int(count[place]) for count in counts) for place in (0, 1))
    assert f"{warned} of {checks} lines warns" in section(STRENGTH, "The page's checks")


def test_the_salience_weights() -> None:
    results = wide(pd.read_csv(RESULTS))
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


def test_the_certificates_for_two_budgets() -> None:
    results = wide(pd.read_csv(RESULTS))
    table = smoothing_table(results[results["dataset"] == "shapes6"])
    certified = table[table["outcome"].str.startswith("certified at eps_f")]
    found = {
        re.findall(r"eps_b = (\S+)", outcome)[0]: [cell.replace(" %", "") for cell in own["accuracy"]]
        for outcome, own in certified.groupby("outcome")
    }
    assert {eps_b: cells for eps_b, *cells in shares(STRENGTH, 3)} == found
