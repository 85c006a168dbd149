"""The numbers of benchmarks in docs/unsuspicious.md are those of the tables that were measured."""

from __future__ import annotations

import pandas as pd
import pytest

from dualperturb.figures.names import label
from tests.markdown import ROOT, rows

PAGE = ROOT / "docs/unsuspicious.md"


@pytest.mark.parametrize("name", ["constraint", "constraint_photographs"])
def test_the_constraint(name: str) -> None:
    table = pd.read_csv(ROOT / "benchmarks/results" / f"{name}.csv")
    counts = table[["best_sum", "constraint"]].mul(100).div(table["images"], axis=0)
    cells = [" / ".join(f"{share:g}" for share in row) for row in counts.to_numpy()]
    names = table["classifier"].str.partition("/")[0].map(label) + ", " + table["norm"]
    expected = {name: list(part) for name, part in pd.Series(cells).groupby(names.to_numpy())}
    shown = [row for row in rows(PAGE) if row[-1].count(" / ") == 1 and " {" in row[0]]
    shown = [row for row in shown if row[0].endswith("photographs") == ("photographs" in name)]
    assert {row[0].split(" {")[0].replace("L-infinity", "Linf"): row[1:] for row in shown} == expected != {}


def test_the_judges() -> None:
    table = pd.read_csv(ROOT / "benchmarks/results/judges.csv", keep_default_na=False)
    table["share"] = 100 * table["fooled_and_not_below"] / table["images"]
    table["models"] = table["climbed"].replace("none", "").str.split().map(len)
    expected = {}
    for (name, judge), own in table.groupby(["classifier", "judge"]):
        shares: list[float] = [own.loc[own["models"] == 0, "share"].item()]
        for bound in ("clean", "clean+0.05"):
            unseen = own[~own["seen"] & (own["bound"] == bound)]
            one, three = (unseen.loc[unseen["models"] == count, "share"] for count in (1, 3))
            shares += [one.mean(), one.max(), three.item()]
        shares.append(own.loc[own["models"] == 4, "share"].item())
        whose = f"{label(str(name).partition('/')[0])}, {judge}"
        expected[whose] = [f"{share:.1f}" for share in shares]
    shown = {row[0].replace("`", ""): row[1:] for row in rows(PAGE) if len(row) == 9 and ", `" in row[0]}
    assert shown == expected != {}
