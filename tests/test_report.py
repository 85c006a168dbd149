"""The page and the comment: complete, self-contained, escaped, every statement computed from the table."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from dualperturb.errors import UserError
from dualperturb.report import ReportData, render_html, render_markdown
from tests.small_report import HOSTILE, small_report
from tests.small_tables import under_a_bound

DATASETS = ("shapes6", "folder")
FIGURES = 15  # a data set


class Page(HTMLParser):
    """What a test asks of a page: its links, its tags, the plain text and the text of its scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.saved: dict[str, str] = {}
        self.tags: list[str] = []
        self.text = ""
        self.data: list[str] = []
        self._script: dict[str, str | None] | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        own = dict(attrs)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]
        if "download" in own:
            self.saved[own["download"] or ""] = own["href"] or ""
        if tag == "script":
            self._script = own

    def handle_endtag(self, tag: str) -> None:
        self._script = None if tag == "script" else self._script

    def handle_data(self, data: str) -> None:
        if self._script is None:
            self.text += data
        elif self._script.get("type") == "application/json":
            self.data.append(data)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    return small_report(tmp_path_factory.mktemp("figures"))


@pytest.fixture(scope="module")
def html(report: ReportData) -> str:
    return render_html(report)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_every_figure_of_every_data_set_is_inlined(report: ReportData, page: Page) -> None:
    pictures = [source for source in page.sources if source.startswith("data:image/")]
    figures = [
        figure
        for section in report.sections
        for figure in sorted(section.figures, key=lambda figure: figure.stem != "accuracy")  # Fig. 4 opens
    ]
    assert len(pictures) == len(figures) == 2 * FIGURES
    for picture, figure in zip(pictures, figures, strict=True):
        kind, _, content = picture.removeprefix("data:image/").partition(";base64,")
        path = {"png": figure.png, "svg+xml": figure.svg}[kind]
        assert base64.b64decode(content) == path.read_bytes()


def test_a_large_svg_makes_room_for_the_png(report: ReportData, tmp_path: Path) -> None:
    section = report.sections[0]
    figure = section.figures[0]
    large = tmp_path / "large.svg"
    large.write_text(figure.svg.read_text() + "<!--" + "x" * 300_000 + "-->")
    figures = (replace(figure, svg=large), *section.figures[1:])
    page = Page(render_html(replace(report, sections=(replace(section, figures=figures),))))
    assert page.sources.count(f"data:image/png;base64,{_base64(figure.png)}") == 1


def test_a_figure_that_is_not_there_is_one_line(report: ReportData) -> None:
    section = report.sections[0]
    lost = replace(section.figures[0], svg=Path("nowhere/fig.svg"))
    with pytest.raises(UserError, match=r"^nowhere/fig\.svg: cannot be read .*dvc repro$"):
        render_html(replace(report, sections=(replace(section, figures=(lost,)),)))


def test_the_page_loads_nothing_from_elsewhere(html: str, page: Page) -> None:
    assert all(source.startswith(("data:", "#")) for source in page.sources)
    assert "iframe" not in page.tags and "@import" not in html and "url(" not in html
    assert "fetch(" not in html and "http://www.w3.org/2000/svg" in html
    assert re.findall(r"https?://(?!www\.w3\.org)", html) == []


def test_names_can_close_no_script_and_make_no_element(html: str, page: Page) -> None:
    assert page.tags.count("script") == 3, "one program, and the gallery of each data set"
    assert "<script>x" not in html and HOSTILE not in html
    assert "&lt;script&gt;x&lt;/script&gt; &amp; co" in html
    assert "<h1>A &lt;small&gt; run</h1>" in html
    assert len(page.data) == 2
    for data in page.data:
        assert json.loads(data)["classes"][2] == HOSTILE
    assert "<b>7</b>" not in html and "&lt;b&gt;7&lt;/b&gt; of 9" in html


def test_anchors_lead_somewhere_and_ids_are_unique(html: str, page: Page) -> None:
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert {source[1:] for source in page.sources if source.startswith("#")} <= set(ids)


def test_every_data_set_has_its_figures_and_times(report: ReportData, html: str, page: Page) -> None:
    for dataset in DATASETS:
        assert f"<h2>{dataset}</h2>" in html
    for section in report.sections:
        for figure in section.figures:
            assert figure.caption in page.text
    assert page.text.count("The numbers behind Fig. 4\n") == 2
    assert "12.3 s" in page.text and "1 min 40 s" in page.text and "1 min 52 s added up" in page.text


def test_figures_stand_in_the_papers_order(report: ReportData) -> None:
    assert [figure.number for figure in report.sections[0].figures] == [
        *("Fig. 1", "Our figure", "Our figure", "Fig. 2", "Fig. 3", "Fig. 4", "Fig. 5", "Fig. 6"),
        *("Appendix D", "Appendix D", "Appendix J", *["Appendix (ours)"] * 4),
    ]


def test_every_table_can_be_saved_as_it_is(report: ReportData, page: Page) -> None:
    for section in report.sections:
        for figure in section.figures:
            uri = page.saved[f"{section.dataset}_{figure.stem}.csv"]
            content = base64.b64decode(uri.removeprefix("data:text/csv;base64,"))
            saved = pd.read_csv(io.BytesIO(content))
            assert len(saved) == len(figure.rows) > 0
            if "accuracy" in figure.rows.columns:
                assert saved["accuracy"].tolist() == pytest.approx(figure.rows["accuracy"].tolist())
    for name in ("claims", "claims_ours", "strong_L2", "judges_L-infinity", "distances_L2"):
        assert f"shapes6_{name}.csv" in page.saved and f"folder_{name}.csv" in page.saved


def test_health_is_told_by_word_and_counted(html: str, page: Page) -> None:
    assert page.text.count("1 of 6 checks warn") == 4
    assert html.count("<li>AT-PGD: Does a step along the gradient raise the loss? &lt;b&gt;7") == 4
    assert html.count('<span class="verdict bad"><span aria-hidden="true">!</span> warn</span>') == 2 * 2 * 2


def test_stand_ins_spent_budgets_and_masks_are_told(page: Page) -> None:
    _, after = page.text.split("shapes6 is synthetic")
    shapes, folder = after.split("Foregrounds from the saliency model")
    assert "is not DeepGaze" in shapes and "is not DeepGaze" not in folder
    assert "paper's scale" in shapes and "0.2857 in the foreground" in shapes
    assert "2.857 in the background" in shapes and "0.07843 in the background" in shapes
    assert "35.1 % of the image" in shapes and "3 empty" in shapes
    assert "49.0 % of the image" in folder and "1 full" in folder


def test_captions_say_where_masks_come_from_the_model_that_scores(report: ReportData) -> None:
    for section, told in zip(report.sections, (0, 4), strict=True):
        captions = [figure.caption for figure in section.figures]
        assert sum("from the very model that scores" in caption for caption in captions) == told
    stems = [figure.stem for figure in report.sections[1].figures if "very model" in figure.caption]
    assert stems == ["dual_examples", "unsuspicious_L2", "unsuspicious_Linf", "salience"]


def test_the_setting_is_shown_with_nested_keys(html: str) -> None:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
    assert "norms L2, Linf" in text and "weights –" in text
    assert "shapes6.epochs 10" in text and "shapes6.grid 0, 2.5" in text
    assert "torch 2.15.0" in text


def test_of_one_norm_the_page_and_the_comment_tell_no_other(tmp_path: Path) -> None:
    report = small_report(tmp_path, ("shapes6",), ("L2",), ("accuracy", "gradients"))
    page = Page(render_html(report))
    for text in (page.text, render_markdown(report), *page.data):
        assert "Linf" not in text and "infinity" not in text
    assert "Fig. 4" in page.text and "Fig. 5" not in page.text and "Fig. 3" not in page.text


def test_a_figure_whose_norm_is_not_in_use_is_one_line_on_the_page_and_in_the_comment(tmp_path: Path) -> None:
    report = small_report(tmp_path, ("shapes6",), ("Linf",))
    page = Page(render_html(report))
    drawn = [figure for figure in report.sections[0].figures if figure.drawn]
    assert len([source for source in page.sources if source.startswith("data:image/")]) == len(drawn) == 8
    for number, key in (("Fig. 3", "fig3.norm"), ("Fig. 4", "fig4.norm"), ("Fig. 5", "fig5.trained")):
        line = f"Not drawn: figures.{key} is L2, which is not among the norms of this run (Linf)."
        assert page.text.count(line) == 1 and f"- {number}: {line}\n" in render_markdown(report)
        assert f"The numbers behind {number}\n" not in page.text


@pytest.mark.parametrize("part", ["results", "claims", "health", "figures"])
def test_a_part_of_another_data_set_is_refused(report: ReportData, part: str) -> None:
    other = {part: getattr(report.sections[1], part)}
    with pytest.raises(UserError, match=f"report: {part} cover the data sets folder, expected shapes6"):
        replace(report.sections[0], **other)


def test_markdown_holds_the_tables_of_every_data_set(report: ReportData) -> None:
    text = render_markdown(report)
    lines = text.splitlines()
    assert lines[0] == "## A &lt;small> run"
    for dataset, n in zip(DATASETS, (50, 70), strict=True):
        start = lines.index(f"### {dataset}")
        assert lines[start + 2] == "**L2**"
        assert lines[start + 4].startswith("| defence | clean images |")
        assert lines[start + 5] == "|" + 8 * " --- |"
        assert lines[start + 8] == (
            "| AT-Dual | 70.0 % [65.0, 75.0] | not measured | 70.0 % [65.0, 75.0] | 70.0 % [65.0, 75.0] "
            f"| 97.0 % [92.0, 102.0] | 70.0 % [65.0, 75.0] | {n} |"
        )
    assert text.count("| AT-PGD breaks under the dual attack | ") == 2
    assert text.count("| AT-Dual less AT-PGD, L-infinity | open | ") == 2, "ours"
    assert text.count("3 of 7 lines hold, 1 fail, 2 are open at this n, 1 were not measured.") == 2
    assert text.count("- L-infinity: 1 of 6 checks warn.") == 2
    assert "<script" not in text and len(text) < 65_536, "GitHub takes no longer comment"


def test_the_claims_name_a_bound_on_the_dual_sweeps(report: ReportData) -> None:
    first, second = report.sections
    bounded = replace(first, results=under_a_bound(first.results, "clean"))
    told = replace(report, sections=(bounded, second))
    sentence = (
        "were not measured. In the sweeps over eps_f and eps_b an example counts only if it keeps the "
        "foreground score S at or above that of the original image: there, "
    )
    for text in (Page(render_html(told)).text, render_markdown(told)):
        assert text.count(sentence) == 1, "of two data sets one has the bound"
    for text in (Page(render_html(report)).text, render_markdown(report)):
        assert "at or above that" not in text


def test_markdown_has_the_caption_of_every_figure_that_belongs_there(report: ReportData) -> None:
    text = render_markdown(report)
    for section in report.sections:
        numbers = [figure.number for figure in section.figures if figure.in_comment]
        assert "Fig. 4" in numbers and "Fig. 1" not in numbers
        for number in set(numbers):
            assert text.count(f"- {number}: ") == numbers.count(number) * len(report.sections)


def test_markdown_cells_cannot_break_the_table(report: ReportData) -> None:
    section = report.sections[0]
    results = section.results.replace({"defence": {"clean": "a|b\n<i>"}})
    text = render_markdown(replace(report, sections=(replace(section, results=results),)))
    assert "| a\\|b &lt;i> | 10.0 %" in text


def test_the_report_needs_no_torch() -> None:
    code = "import sys, dualperturb.report, dualperturb.figures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")
