"""Text of the page where there are several trainings: their number and their range."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from dualperturb.evaluation.tables import over_trainings
from dualperturb.figures.accuracy import accuracy_caption
from dualperturb.figures.gradients import gradient_caption
from dualperturb.figures.salience import salience_caption, salience_table
from dualperturb.report import render_html, render_markdown, summary_table
from dualperturb.report.health import health_parts
from dualperturb.report.measures import distances_table, judges_table, strong_table
from dualperturb.report.summary import headline
from tests.small_report import small_report
from tests.small_tables import small_health, small_results, small_trainings

# Wilson's interval of 41 % of 50 images.
RANGE = "41.0 % [28.5, 54.8]{}, 37.0 to 46.0 over 3 trainings"


@pytest.fixture(scope="module")
def means() -> pd.DataFrame:
    return over_trainings(small_trainings())


def test_a_cell_tells_the_range(means: pd.DataFrame) -> None:
    table = summary_table(means, "L2", 2.0, 20.0).set_index("defence")
    assert table.loc["AT-PGD", "clean images"] == RANGE.format("")
    strong = strong_table(means, "L2", 2.0).set_index("classifier")
    assert strong.loc["AT-PGD", "Dual-AutoAttack"] == RANGE.format(" of 50")


def test_the_headline_tells_the_range(means: pd.DataFrame) -> None:
    text = headline(means, "L2", 0.0, 20.0)
    assert "AT-PGD classifies 41 % (37 to 46) of the test images" in text
    assert "AT-Dual 71 % (67 to 76) and 71 % (67 to 76)." in text
    assert "all images but 41 % (37 to 46) on AT-PGD and 71 % (67 to 76) on AT-Dual" in text
    assert text.endswith(" Means over 3 trainings, in brackets their range.")
    assert "(" not in headline(small_results(), "L2", 0.0, 20.0)


def test_means_of_scores_distances_and_gradients_tell_their_range() -> None:
    trainings = small_trainings()
    for measure in ("foreground_score", "ssim_distance", "score_change", "gradient_share"):
        trainings[measure] += 0.01 * trainings["training"]
    means = over_trainings(trainings)
    assert salience_table(means)["foreground score"][0] == (
        "0.610 [0.580, 0.620], 0.600 to 0.620 over 3 trainings"
    )
    distance = distances_table(means, "L2")["SSIM distance, whole image"][0]
    assert distance == "0.210 [0.190, 0.210], 0.200 to 0.220 over 3 trainings"
    assert "; AT-PGD (L2) 41.0 % [37.0, 43.0], 40.0 to 42.0 over 3 trainings;" in gradient_caption(means)
    judged = judges_table(means, "L2").set_index(["classifier", "attack"]).loc[("AT-PGD", "PGD")]
    share = "59\N{NO-BREAK SPACE}% (54 to 63)"
    assert judged["contrast"] == f"-0.040 (-0.050 to -0.030), {share}" and judged["all unseen"] == share


def test_captions_of_curves_say_over_how_many(means: pd.DataFrame) -> None:
    for norm in ("L2", "Linf"):
        assert "50 images a point, means over 3 trainings; bands" in accuracy_caption(means, norm, (norm,))
        assert "trainings" not in accuracy_caption(small_results(), norm, (norm,))
    assert "50 images a point, means over 3 trainings; bands" in salience_caption(means)


def test_every_training_has_its_health() -> None:
    one = small_health()
    both = pd.concat([one, one.assign(training=4)])
    part = next(health_parts(both))
    names = [f"{name}, seed {seed}" for name in ("Clean", "AT-PGD", "AT-Dual") for seed in (0, 4)]
    assert list(part.overview) == ["check", *names] == ["check", *part.lines]


def test_the_page_says_how_claims_are_judged_over_trainings(means: pd.DataFrame, tmp_path: Path) -> None:
    report = small_report(tmp_path, datasets=("shapes6",))
    section = replace(report.sections[0], results=means, trainings=3)
    for render in (render_html, render_markdown):
        several, one = (
            " ".join(render(made).split()) for made in (replace(report, sections=(section,)), report)
        )
        assert "Of 3 trainings the mean is told" in several and "trainings the mean" not in one
        told = "Means over 3 trainings, in brackets their range."
        assert (told in several) == (render is render_html) and told not in one
