"""The page in a real browser: no errors, the gallery's slider and filters, keyboard, narrow, dark, print."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dualperturb.report import render_html
from tests.small_report import HOSTILE, small_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright absent")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine; install it with: apt-get install chromium"
)

# Contrast by WCAG 2 of an element's text against the page's background.
CONTRAST = """(element) => {
  const light = (text) => text.match(/[\\d.]+/g).slice(0, 3).map((value) => value / 255)
    .map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0);
  const [one, two] = [getComputedStyle(element).color, getComputedStyle(document.body).backgroundColor]
    .map(light).sort((a, b) => b - a);
  return (one + 0.05) / (two + 0.05);
}"""

FOCUSED = "(({name, type, localName}) => name || type || localName)(document.activeElement)"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("page")
    report = small_report(folder, ("shapes6",), panels=("dual_examples", "salience"))
    (folder / "index.html").write_text(render_html(report), encoding="utf-8")
    return (folder / "index.html").as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        opened = context.new_page()
        opened.goto(address)
        yield opened


def count(page: Any) -> str:
    text: str = page.locator(".count").inner_text()
    assert int(text.split()[0]) == page.locator(".card").count()
    return text.partition(",")[0]


def test_nothing_is_reported_and_nothing_asked_for(browser: Any, address: str) -> None:
    with browser.new_context() as context:
        page, messages, asked = context.new_page(), [], []
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        page.locator("select[name=outcome]").select_option("fooled")
        page.locator("input[type=range]").first.press("ArrowRight")
        assert messages == []
        assert [url for url in asked if not url.startswith("data:")] == [address]
        broken = "images => images.filter(image => !image.complete || !image.naturalWidth).length"
        assert page.locator("img").evaluate_all(broken) == 0


@pytest.mark.parametrize(
    ("chosen", "shown"),
    [
        ({}, "12 examples of 3 images"),
        ({"label": "1"}, "4 examples of 1 image"),
        ({"attack": "0"}, "3 examples of 3 images"),
        ({"outcome": "fooled"}, "6 examples of 2 images"),
        ({"outcome": "stood"}, "2 examples of 2 images"),
        ({"outcome": "wrong"}, "4 examples of 1 image"),
        ({"label": "0", "attack": "3", "outcome": "stood"}, "1 example of 1 image"),
        ({"attack": "3", "outcome": "fooled"}, "0 examples of 0 images"),
    ],
)
def test_the_filters_show_what_they_say(page: Any, chosen: dict[str, str], shown: str) -> None:
    for name, value in chosen.items():
        page.locator(f"select[name={name}]").select_option(value)
    assert count(page) == shown
    for heading in page.locator(".card h5").all_text_contents() if "attack" in chosen else ():
        assert heading == page.locator(f"select[name=attack] option[value='{chosen['attack']}']").inner_text()
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function("document.querySelectorAll('.card').length === 12")


def test_the_classifier_changes_whose_examples_are_shown(page: Any) -> None:
    before = page.locator(".after").first.get_attribute("src")
    page.locator("select[name=classifier]").select_option(label="Clean")
    assert page.locator(".count").inner_text().endswith("Clean")
    assert page.locator(".after").first.get_attribute("src") != before


def test_a_card_tells_prediction_confidence_norms_score_and_factor(page: Any) -> None:
    text = page.locator(".card").first.inner_text().replace("\u00a0", " ")
    for part in ("PGD (L2)", "$dog$, 87.5 %", "fooled", "0.1 foreground, 0.25 background"):
        assert part in text
    assert "foreground score 0.550 (+0.050)" in text and "perturbation × 5" in text


def test_a_class_name_stays_text(page: Any) -> None:
    assert HOSTILE in page.locator(".image > summary").last.inner_text()
    assert page.locator("script").count() == 2


def test_images_unfold_and_stay_so_under_another_filter(page: Any) -> None:
    images = page.locator(".image")
    folded = "images => images.map(image => image.open)"
    assert images.evaluate_all(folded) == [True, False, False]
    page.locator(".image > summary").nth(1).press("Enter")
    page.locator("select[name=outcome]").select_option("fooled")
    assert images.evaluate_all(folded) == [True, True]
    page.locator("select[name=outcome]").select_option("wrong")
    assert images.evaluate_all(folded) == [True], "of the images that are left one is open"


def test_an_image_unfolded_the_moment_before_a_filter_stays_so(page: Any) -> None:
    opened = """() => {
      document.querySelectorAll(".image")[1].open = true;
      const outcome = document.querySelector("select[name=outcome]");
      outcome.value = "fooled";
      outcome.dispatchEvent(new Event("change", {bubbles: true}));
      return [...document.querySelectorAll(".image")].map((image) => image.open);
    }"""
    assert page.evaluate(opened) == [True, True]


def test_the_slider_uncovers_the_original_from_the_left(page: Any) -> None:
    slider, after = page.locator("input[type=range]").first, page.locator(".after").first
    assert after.evaluate("image => image.style.clipPath") == "inset(0px 0px 0px 0%)"
    slider.fill("60")
    assert after.evaluate("image => image.style.clipPath") == "inset(0px 0px 0px 60%)"
    assert slider.get_attribute("aria-valuetext") == "60 % original, 40 % adversarial"
    assert "image 4, PGD (L2)" in (slider.get_attribute("aria-label") or "")
    others = page.locator(".after").evaluate_all("images => images.slice(1).map(i => i.style.clipPath)")
    assert set(others) == {"inset(0px 0px 0px 0%)"}


def test_the_keyboard_reaches_and_moves_everything(page: Any) -> None:
    page.locator("select[name=label]").focus()
    reached = []
    for _ in range(7):
        reached.append(page.evaluate(FOCUSED))
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        page.keyboard.press("Tab")
        assert page.evaluate(outline) == "solid", f"after {reached[-1]} the focus cannot be seen"
    assert reached == ["label", "classifier", "attack", "outcome", "reset", "summary", "range"]
    slider = page.locator("input[type=range]").first
    slider.focus()
    for key, value in (("ArrowRight", "5"), ("End", "100"), ("Home", "0")):
        page.keyboard.press(key)
        assert slider.input_value() == value
    page.locator("select[name=outcome]").focus()
    page.keyboard.press("ArrowDown")
    assert count(page) == "6 examples of 2 images"


def test_a_table_is_saved_as_csv(page: Any, tmp_path: Path) -> None:
    with page.expect_download() as waiting:
        page.get_by_role("link", name="shapes6_claims.csv").click()
    waiting.value.save_as(tmp_path / "claims.csv")
    assert waiting.value.suggested_filename == "shapes6_claims.csv"
    assert (tmp_path / "claims.csv").read_text().startswith("claim,holds if,classifier,verdict,ours,p,n,at")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_and_can_be_read(browser: Any, address: str, width: int, scheme: str) -> None:
    viewport = {"width": width, "height": 800}
    with browser.new_context(viewport=viewport, color_scheme=scheme) as context:
        page = context.new_page()
        page.goto(address)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert (page.locator("body").evaluate(CONTRAST)) > 12
        for name in (".soft", ".verdict.good", ".verdict.bad", ".verdict.open", "a", "summary"):
            assert page.locator(name).first.evaluate(CONTRAST) >= 4.5, name
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(255, 255, 255)") == (scheme == "light")


def test_the_first_screen_shows_accuracies_of_a_run_with_many_parameters(page: Any, tmp_path: Path) -> None:
    report = small_report(tmp_path, ("shapes6",), panels=("salience",))
    many = report.setting | {f"section {number}": {"key": number} for number in range(12)}
    (tmp_path / "index.html").write_text(render_html(replace(report, setting=many)), encoding="utf-8")
    page.goto((tmp_path / "index.html").as_uri())
    rows = page.locator("#data-1 tbody").first
    assert "%" in rows.inner_text() and rows.bounding_box()["y"] + rows.bounding_box()["height"] < 900


def test_print_unfolds_the_tables_and_leaves_the_controls_out(page: Any) -> None:
    table = page.locator("details table").first
    assert not table.is_visible()
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("details table").first.evaluate("table => table.getBoundingClientRect().height") > 20
    assert not page.locator(".filters").first.is_visible()
    assert not page.locator("input[type=range]").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    last = page.locator(".card").last
    assert last.evaluate("card => card.getBoundingClientRect().height") > 20, "folded images are printed"
