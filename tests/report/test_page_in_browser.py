"""The page, in a real browser: nothing is cut at any width, and all of it works by mouse, by keys and on paper."""

from dataclasses import replace

import pytest

from evalkit.report.page.render import write_page
from tests.support.browser import OVERFLOW, accessibility_faults, chromium
from tests.support.comparisons import NAMES, comparison_of
from tests.support.pages import with_judgements, with_metrics, with_pictures

pytestmark = pytest.mark.browser
WIDTHS = (390, 768, 1280, 1920)
PHONE = {"width": 390, "height": 844}
HOSTILE = (
    '"><script>window.hit=1</script><img src=x onerror=window.hit=1>', "\u202etxet lanoitceridib\u202c עִבְרִית",
    "x" * 300, "a very long name of many words " * 8, "{{ 7*7 }}${7*7}</style></script>",
)  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    """One browser for all tests."""
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Pages by name: seven methods on ten items with five metrics, twenty methods, and hostile names."""
    root = tmp_path_factory.mktemp("pages")
    names = (*NAMES[:3], *NAMES[4:8])
    demo = with_pictures(with_metrics(comparison_of(7, names=names, n_items=10), 5), root / "demo")
    twenty = with_metrics(comparison_of(12, n_items=20), 12)
    hostile = with_pictures(comparison_of(5, names=HOSTILE, n_items=4), root / "hostile")
    demo, hostile = with_judgements(demo), with_judgements(hostile, "\n".join(HOSTILE), repeats=3)
    hostile = replace(hostile, notes=HOSTILE, benchmark=HOSTILE[0])
    found = {}
    for name, comparison in (("demo", demo), ("many", twenty), ("hostile", hostile)):
        found[name] = root / f"{name}.html"
        write_page(comparison, found[name])
    return found


@pytest.fixture
def page(browser, files):
    """The page of seven methods; the test fails if anything goes wrong in it, or asks for anything but the file."""
    opened = opened_page(browser, files["demo"], {"width": 1280, "height": 800})
    yield opened
    assert opened.wrong == []
    opened.close()


def opened_page(browser, file, viewport, **options):
    """A page with what went wrong in it."""
    opened = browser.new_page(viewport=viewport, **options)
    opened.wrong = wrong = []
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda failure: wrong.append(str(failure)))
    opened.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else wrong.append(asked.url))
    opened.goto(f"file://{file}")
    return opened


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["demo", "many", "hostile"])
def test_nothing_is_cut(browser, files, name, width):
    """No table, figure or text is wider than its place, closed or opened, and nothing in a name acts."""
    opened = opened_page(browser, files[name], {"width": width, "height": 800})
    assert opened.evaluate(OVERFLOW) == []
    opened.evaluate("() => document.querySelectorAll('details').forEach((folded) => { folded.open = true; })")
    opened.click(".matrix button >> nth=0")
    assert opened.evaluate(OVERFLOW) == []
    assert opened.evaluate("window.hit") is None
    assert opened.wrong == []
    opened.close()


def test_the_first_screen_holds_the_answer_the_table_and_the_figure(page):
    """At 1280 × 800 the sentence, all seven methods and the figure's axis are seen without scrolling."""
    bottoms = "nodes => nodes.map((node) => node.getBoundingClientRect().bottom)"
    assert max(page.eval_on_selector_all(".answer, .means >> nth=0", bottoms)) < 520
    assert page.eval_on_selector_all(".wide svg >> nth=0", bottoms)[0] < 820


def test_a_phone_reads_every_interval_and_the_page_is_short(browser, files):
    """On 390 px intervals stay on one line in letters of 11 px or more, and the page ends before 10,000 px."""
    opened = opened_page(browser, files["demo"], PHONE)
    heights = opened.eval_on_selector_all(
        ".means .interval",
        "nodes => nodes.map((n) => [n.getClientRects().length, parseFloat(getComputedStyle(n).fontSize)])",
    )
    assert len(heights) == 7 * (5 + 2)
    assert {lines for lines, _ in heights} == {1}
    assert min(size for _, size in heights) >= 11
    assert opened.evaluate("document.documentElement.scrollHeight") < 10_000
    opened.close()


def test_a_column_sorts_its_table(page):
    """A click sorts down, another up; a screen reader is told."""
    header = ".means >> nth=0 >> th:nth-child(2)"
    values = "cells => cells.map((c) => Number(c.dataset.v))"
    cells = ".means:first-of-type tbody td:nth-child(2)"
    found = []
    for _ in range(2):
        page.click(f"{header} >> button")
        found.append(page.locator(".means").first.locator("tbody td:nth-child(2)").evaluate_all(values))
    assert found == [sorted(found[0], reverse=True), sorted(found[0])], cells
    assert page.get_attribute(header, "aria-sort") == "ascending"
    assert "Sorted by clip_score" in page.text_content("#status")


def test_one_metric_is_chosen_everywhere(page):
    """The choice in one section is that of all: matrices and scores follow it; edit types are on primary metrics."""
    page.evaluate("document.querySelector('details.print').open = true")
    page.select_option("#gallery-metric", "1")
    shown = page.locator(".matrix:visible")
    assert shown.count() == 1
    assert page.locator("#pairs-metric").input_value() == "1"
    assert page.locator(".panel:visible h3").all_text_contents() == [
        "clip_score ↑", "clip_directional_similarity ↑ exploratory",
    ]  # fmt: skip


def test_a_pair_shows_its_numbers(page):
    """A cell of the matrix is a button: by keys, too, it shows all numbers of its pair and the sentence to paste."""
    page.evaluate("document.querySelector('details.print').open = true")
    page.focus(".matrix button >> nth=0")
    page.keyboard.press("Enter")
    assert page.get_attribute(".matrix button >> nth=0", "aria-pressed") == "true"
    heads = page.locator("#pair dt").all_text_contents()
    assert heads == ["comparison", "verdict", "difference", "interval", "p", "adjusted p", "dz", "win/tie/loss", "MDE"]
    assert page.locator("#pair dd").first.text_content() in page.locator("#pair .paste").text_content()


def test_the_gallery_is_sorted_and_filtered(page):
    """Most disputed first, worst first, by item; by edit type, by who scores best, by what is missing."""
    items = page.locator("article.item:visible")
    ranges = """nodes => nodes.map((node) => {
      const v = Array.from(node.querySelectorAll(".score"), (score) => Number(score.textContent));
      return [Math.max(...v) - Math.min(...v), v.reduce((a, b) => a + b) / v.length, v.indexOf(Math.max(...v))];
    })"""
    assert items.count() == 6
    page.click("#more")
    assert items.count() == 10
    disputed = [found[0] for found in items.evaluate_all(ranges)]
    assert disputed == sorted(disputed, reverse=True)
    page.select_option("#order", "worst")
    worst = [found[1] for found in items.evaluate_all(ranges)]
    assert worst == sorted(worst)
    page.select_option("#order", "item")
    assert items.first.get_attribute("data-id") == "item000"
    page.select_option("#type", "object")
    assert page.text_content("#count") == "5 of 5 items that fit."
    assert items.count() == 5
    page.select_option("#type", "")
    page.select_option("#verdict", "0")
    assert items.count() > 0
    assert {found[2] for found in items.evaluate_all(ranges)} == {0}
    page.select_option("#verdict", "failed")
    assert items.evaluate_all("nodes => nodes.map((n) => n.dataset.id)") == ["item002"]
    assert "out of memory" in items.first.text_content()


def test_pictures_are_large_enough_to_judge(page):
    """On a desktop a picture is shown at 160 px or more, the source among them."""
    page.wait_for_timeout(50)
    widths = page.eval_on_selector_all(
        "article.item:not([hidden]) .picture", "nodes => nodes.map((n) => n.getBoundingClientRect().width)"
    )
    assert len(widths) >= 40
    assert min(widths) >= 160


def test_two_pictures_are_compared_with_a_slider_by_keys_alone(page):
    """A picture opens beside its source; arrows move the slider; others are chosen; Escape closes it."""
    page.focus("article.item .edit .picture >> nth=1")
    page.keyboard.press("Enter")
    assert page.locator("#viewer").is_visible()
    assert page.evaluate("document.activeElement.id") == "slide"
    before = page.evaluate("getComputedStyle(document.getElementById('over')).clipPath")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("getComputedStyle(document.getElementById('over')).clipPath") != before
    assert page.locator("#left").evaluate("s => s.selectedOptions[0].textContent") == "source"
    first = page.get_attribute("#under", "src")
    page.select_option("#right", index=3)
    assert page.get_attribute("#under", "src") != first
    title = page.text_content("#viewer-title")
    page.click("#next")
    assert page.text_content("#viewer-title") != title
    assert page.locator("#right").evaluate("s => s.selectedIndex") == 3
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()
    assert page.evaluate("document.activeElement.className") == "picture"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_accessible(browser, files, width, scheme):
    """The rules of axe find nothing, folded or opened, with a picture open, in the light and in the dark."""
    opened = opened_page(browser, files["demo"], {"width": width, "height": 800}, color_scheme=scheme)
    assert accessibility_faults(opened) == []
    opened.evaluate("() => document.querySelectorAll('details').forEach((folded) => { folded.open = true; })")
    opened.click(".matrix button >> nth=0")
    assert accessibility_faults(opened) == []
    opened.click("article.item .picture >> nth=0")
    assert accessibility_faults(opened) == []
    opened.close()


def test_on_paper_the_pairs_are_open_and_the_choices_gone(page):
    """Printing opens the matrix, leaves out what nobody can press, and cuts nothing."""
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".matrix").first.is_visible()
    assert not page.locator("#choices").is_visible()
    assert not page.locator("nav").is_visible()
    page.set_viewport_size({"width": 760, "height": 1000})
    assert page.evaluate(OVERFLOW) == []


def test_it_reads_without_its_script(browser, files):
    """Without JavaScript every item, every matrix and every sentence is there."""
    opened = opened_page(browser, files["demo"], PHONE, java_script_enabled=False)
    assert opened.locator("article.item:visible").count() == 10
    assert opened.locator("select:visible").count() == 0
    opened.click("details.print > summary")
    assert opened.locator(".matrix:visible").count() == 5
    opened.close()
