"""The page and the comment: complete, self-contained, escaped, every statement computed from the table."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dualperturb.errors import UserError
from dualperturb.figures import draw, save
from dualperturb.report import (
    MaskSummary,
    ReportData,
    paper_figures,
    render_html,
    render_markdown,
    summary_table,
)
from dualperturb.report.captions import accuracy_caption, dual_examples_caption, salience_caption
from dualperturb.report.paper import accuracy_table
from tests.small_tables import Look, small_examples, small_results

DATASETS = ("shapes6", "folder")


class Page(HTMLParser):
    """What a test asks of a page: its links, the tables' cells, the details and the plain text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    folder = tmp_path_factory.mktemp("figures")
    examples = small_examples()
    examples["class_names"][2] = "<script>x</script> & co"
    rows = small_results()
    for name, figure in draw(rows, examples, Look()).items():
        first, second = save(figure, folder / f"shapes6_{name}")
        for path in (first, second):
            (folder / path.name.replace("shapes6", "folder")).write_bytes(path.read_bytes())
    results = pd.concat([rows, rows.assign(dataset="folder", n=70)], ignore_index=True)
    return ReportData(
        title="A <small> run",
        datasets=DATASETS,
        eps_f=2.0,
        eps_b=20.0,
        setting={"norm": "L2", "weights": None, "train": {"shapes6": {"epochs": 10, "grid": [0, 2.5]}}},
        versions={"torch": "2.15.0"},
        results=results,
        masks={
            "shapes6": MaskSummary("data set", "builtin", 0.351, 0.552, 3, 0, 1000),
            "folder": MaskSummary("saliency model", "deepgaze_iie", 0.49, 0.91, 0, 1, 500),
        },
        figures=tuple(
            figure
            for name in DATASETS
            for figure in paper_figures(results, examples, name, folder, eps_f=2.0, eps_b=20.0)
        ),
        times=pd.DataFrame({"dataset": DATASETS, "stage": "robustness", "seconds": [12.34, 100.0]}),
    )


@pytest.fixture(scope="module")
def html(report: ReportData) -> str:
    return render_html(report)


def test_every_figure_of_every_data_set_is_inlined(report: ReportData, html: str) -> None:
    pictures = [source for source in Page(html).sources if source.startswith("data:image/")]
    assert len(pictures) == len(report.figures) == 8
    for picture, figure in zip(pictures, report.figures, strict=True):
        kind, _, content = picture.removeprefix("data:image/").partition(";base64,")
        path = {"svg+xml": figure.svg, "png": figure.png}[kind]
        assert base64.b64decode(content) == path.read_bytes()


def test_a_large_svg_gives_way_to_its_png(report: ReportData, tmp_path: Path) -> None:
    figure = report.figures[0]
    large = tmp_path / "large.svg"
    large.write_bytes(figure.svg.read_bytes() + b"<!--" + b"x" * 200_000 + b"-->")
    page = render_html(replace(report, figures=(replace(figure, svg=large), *report.figures[1:])))
    assert Page(page).sources.count(f"data:image/png;base64,{_base64(figure.png)}") == 1


def test_the_page_loads_nothing_from_elsewhere(html: str) -> None:
    page = Page(html)
    assert all(source.startswith(("data:", "#")) for source in page.sources)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "@import" not in html and "url(" not in html


def test_names_are_escaped(html: str) -> None:
    assert "<script" not in html
    assert "&lt;script&gt;x&lt;/script&gt; &amp; co" in html
    assert "<h1>A &lt;small&gt; run</h1>" in html


def test_every_data_set_has_its_summary_figures_and_times(report: ReportData, html: str) -> None:
    text = Page(html).text
    for dataset in DATASETS:
        assert f"<h2>{dataset}</h2>" in html
    for figure in report.figures:
        assert figure.caption in text
    assert text.count("The numbers behind Fig. 4") == 2
    assert "12.3 s" in text and "1 min 40 s" in text and "1 min 52 s" in text


def test_the_summary_holds_the_tables_numbers(report: ReportData, html: str) -> None:
    table = summary_table(report.results, "folder", 2.0, 20.0)
    assert list(table.columns) == [
        "defence",
        "clean images",
        "PGD, eps = 2",
        "dual, eps_f = 2, eps_b = 20",
        "n",
    ]
    assert list(table["defence"]) == ["Clean", "AT-PGD", "AT-Dual"]
    assert list(table["clean images"]) == [
        "10.0 % [5.0, 15.0]",
        "40.0 % [35.0, 45.0]",
        "70.0 % [65.0, 75.0]",
    ]
    assert set(table["PGD, eps = 2"]) == {"not measured"}
    assert list(table["dual, eps_f = 2, eps_b = 20"]) == list(table["clean images"])
    assert set(table["n"]) == {"70"}
    assert "70.0 % [65.0, 75.0]" in Page(html).text


def test_the_summary_picks_the_point_of_both_budgets(report: ReportData) -> None:
    results = report.results.copy()
    there = (results["axis"] == "eps_b") & (results["value"] == 10) & (results["defence"] == "at_dual")
    results.loc[there, ["accuracy", "accuracy_low", "accuracy_high", "n"]] = [0.634, 0.591, 0.675, 60]
    table = summary_table(results, "shapes6", 2.0, 10.0)
    assert table.set_index("defence").loc["AT-Dual", "dual, eps_f = 2, eps_b = 10"] == "63.4 % [59.1, 67.5]"
    assert table.set_index("defence").loc["AT-Dual", "n"] == "50 / 60"


def test_the_summary_tells_points_of_one_background_budget_apart(report: ReportData) -> None:
    results = report.results.copy()
    results.loc[(results["axis"] == "eps_f") & (results["value"] == 4), "accuracy"] = 0.05
    cells = summary_table(results, "shapes6", 4.0, 20.0)["dual, eps_f = 4, eps_b = 20"]
    assert [cell.split(" [")[0] for cell in cells] == ["5.0 %"] * 3


def test_no_clean_accuracy_is_refused(report: ReportData) -> None:
    without = report.results[(report.results["axis"] != "eps") | (report.results["value"] != 0)]
    with pytest.raises(UserError, match="no clean accuracy .* shapes6"):
        summary_table(without, "shapes6", 2.0, 20.0)


def test_stand_ins_and_spent_budgets_are_told(html: str) -> None:
    _, after = Page(html).text.split("shapes6 is synthetic")
    shapes, folder = after.split("Foregrounds from the saliency model")
    assert "is not DeepGaze" in shapes and "is not DeepGaze" not in folder
    assert (
        "paper's scale" in shapes and "0.2857 in the foreground" in shapes and "2.857 in the back" in shapes
    )
    assert "35.1 % of the image" in shapes and "3 empty" in shapes
    assert "49.0 % of the image" in folder and "1 full" in folder


def test_the_setting_is_shown_with_nested_keys(html: str) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
    assert "norm L2" in text and "weights –" in text
    assert "shapes6.epochs 10" in text and "shapes6.grid 0, 2.5" in text
    assert "torch 2.15.0" in text


@pytest.mark.parametrize("part", ["results", "masks", "figures"])
def test_a_data_set_left_behind_is_refused(report: ReportData, part: str) -> None:
    less = {
        "results": report.results[report.results["dataset"] == "shapes6"],
        "masks": {"shapes6": report.masks["shapes6"]},
        "figures": report.figures[:4],
    }
    with pytest.raises(UserError, match=f"{part} cover the data sets shapes6, expected folder, shapes6"):
        replace(report, **{part: less[part]})


def test_a_data_set_too_many_is_refused(report: ReportData) -> None:
    with pytest.raises(UserError, match="expected shapes6"):
        replace(report, datasets=("shapes6",))


def test_markdown_holds_the_summary_of_every_data_set(report: ReportData) -> None:
    text = render_markdown(report)
    lines = text.splitlines()
    assert lines[0] == "## A &lt;small> run"
    for dataset, n in zip(DATASETS, (50, 70), strict=True):
        start = lines.index(f"### {dataset}")
        assert lines[start + 2].startswith("| defence | clean images |")
        assert lines[start + 3] == "| --- | --- | --- | --- | --- |"
        assert lines[start + 6] == (
            f"| AT-Dual | 70.0 % [65.0, 75.0] | not measured | 70.0 % [65.0, 75.0] | {n} |"
        )
    assert "<script" not in text and len(text) < 10_000


def test_markdown_cells_cannot_break_the_table(report: ReportData) -> None:
    results = report.results.replace({"defence": {"clean": "a|b\n<i>"}})
    assert "| a\\|b &lt;i> | 10.0 %" in render_markdown(replace(report, results=results))


def test_the_lead_is_computed_from_the_sweep() -> None:
    results = small_results()
    there = (results["axis"] == "eps_b") & (results["value"] == 10) & (results["defence"] == "at_dual")
    results.loc[there, "accuracy"] = 0.948
    text = accuracy_caption(results)
    assert "on the eps_b sweep: 54.8 points at eps_b = 10 (intervals apart)" in text
    assert "eps_b = 20;" in text and "eps_f = 2;" in text and "50 images a point" in text


def test_no_lead_and_overlapping_intervals_are_said() -> None:
    results = small_results()
    results.loc[results["defence"] == "at_dual", "accuracy"] = 0.4
    assert accuracy_caption(results).count("AT-Dual is nowhere above AT-PGD") == 3
    results.loc[results["defence"] == "at_dual", ["accuracy", "accuracy_low"]] = [0.41, 0.36]
    assert accuracy_caption(results).count("1.0 points") == 3
    assert accuracy_caption(results).count("intervals overlap") == 3


def test_salience_caption_tells_the_change_of_each_defence() -> None:
    results = small_results()
    last = (results["axis"] == "salience_weight") & (results["value"] == 10) & (results["defence"] == "clean")
    paper = last & (results["objective"] == "paper")
    results.loc[paper, ["foreground_score", "accuracy"]] = [0.65, 0.3]
    results.loc[last & ~paper, ["foreground_score", "accuracy"]] = [0.7, 0.1]
    text = salience_caption(results)
    assert "paper objective Clean +0.050 and +20.0 points; AT-PGD +0.000 and +0.0 points" in text
    assert "balanced objective Clean +0.100 and +0.0 points" in text
    assert "renewed" not in text


def test_a_salience_gradient_used_for_several_steps_is_told() -> None:
    results = small_results()
    results.loc[results["salience_weight"] > 0, "salience_every"] = 4
    assert "The gradient of the foreground score is renewed in every 4 steps." in salience_caption(results)
    assert "renewed" not in accuracy_caption(results)


def test_examples_caption_counts_wrong_predictions_and_means_scores() -> None:
    text = dual_examples_caption(small_examples(), 2.0, 20.0)
    assert "originals: 0 of 3, 0.60; weight 0: 1 of 3, 0.25; weight 10: 3 of 3, 0.25" in text
    assert "made on AT-PGD with eps_f = 2, eps_b = 20" in text


def test_the_accuracy_table_has_every_point_with_the_budget_spent() -> None:
    table = accuracy_table(small_results())
    assert len(table) == 9
    point = table[(table["attack"] == "dual over eps_b") & (table["eps_b"] == 10)].iloc[0]
    assert np.isclose(point["eps_b spent"], 10 / 7) and point["AT-PGD"] == "40.0 % [35.0, 45.0]"
    assert point["n"] == "50"


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")
