from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmarks import judges


def test_every_judge_judges_every_attack_and_tells_whether_it_was_climbed(tmp_path: Path) -> None:
    judges.main(["--tiny", "--out", str(tmp_path)])
    rows = pd.read_csv(tmp_path / "judges.csv", keep_default_na=False)
    assert len(rows) == len(judges.CLASSIFIERS) * len(judges.ATTACKS) * len(judges.JUDGES)
    told = [judge in climbed.split() for judge, climbed in zip(rows["judge"], rows["climbed"], strict=True)]
    assert rows["seen"].tolist() == told
    kept = rows["fooled_and_not_below"]
    held = rows["seen"] & (rows["bound"] == "clean")
    assert (kept <= rows["fooled"]).all() and (kept[held] == rows["fooled"][held]).all()
