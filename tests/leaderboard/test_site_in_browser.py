"""The site, in a real browser: it sorts, filters and links, by mouse and by keys, on a phone, in the dark, unharmed."""

import csv

import pytest

from evalkit.leaderboard.site.build import script_json
from tests.support.boards import HOSTILE
from tests.support.browser import chromium

pytestmark = pytest.mark.browser
PHONE = {"width": 390, "height": 844}
ROWS = "#board tbody tr:visible"


@pytest.fixture(scope="module")
def site(small_site):
    """The built site."""
    return small_site[1]


@pytest.fixture(scope="module")
def browser():
    """One browser for all tests."""
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser, site):
    """The board; the test fails if anything goes wrong in it, or asks for anything but files of the site."""
    wrong = []
    opened = browser.new_page()
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda failure: wrong.append(str(failure)))
    opened.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else wrong.append(asked.url))
    go(opened, site)
    yield opened
    assert wrong == []
    assert opened.evaluate("window.hit") is None
    opened.close()


def go(page, site, name="few/v1/index.html"):
    """To a page of the site."""
    page.goto(f"file://{site / name}")


def test_the_board_sorts_by_each_column(page):
    """A click sorts up, another down; rows without a value stay last; a screen reader is told."""
    values = "cells => cells.map(c => Number(c.dataset.v))"
    sorted_twice = []
    for _ in range(2):
        page.click("#board thead th:nth-child(4) button")
        sorted_twice.append(page.eval_on_selector_all("#board tbody tr td:nth-child(4)", values))

    assert sorted_twice == [sorted(sorted_twice[0]), sorted(sorted_twice[0], reverse=True)]
    assert page.get_attribute("#board thead th:nth-child(4)", "aria-sort") == "descending"
    assert "Sorted by edit_success" in page.text_content("#status")


def test_the_board_can_be_used_by_keys_alone(page):
    """A column's button takes the focus and Enter sorts; the first thing in the page skips to the content."""
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus("#board thead th:nth-child(2) button")
    page.keyboard.press("Enter")
    assert page.get_attribute("#board thead th:nth-child(2)", "aria-sort") == "ascending"
    page.focus("#filter")
    page.keyboard.type("reference")
    assert page.locator(ROWS).count() == 1


def test_the_board_can_be_filtered(page):
    """By text, by verification, to those that are ranked; the number of rows is announced."""
    page.check("#ranked")
    assert page.locator(ROWS).count() == 2
    page.uncheck("#ranked")
    page.select_option("#level", "self-scored")
    assert page.locator(ROWS).count() == 6
    page.fill("#filter", "no such method")
    assert page.locator(ROWS).count() == 0
    assert page.text_content("#status") == "0 rows shown."


def test_a_long_board_is_laid_out_a_hundred_rows_at_a_time(page):
    """Sorting and filtering know every row; those after the first hundred found are shown when asked for."""
    page.evaluate("""() => {
        const body = document.querySelector("#board").tBodies[0];
        for (const row of [...body.rows]) for (let copy = 0; copy < 30; copy++) {
            const another = body.appendChild(row.cloneNode(true));
            another.cells[1].textContent = `copy ${copy} of ${row.rowIndex}`;
        }
    }""")
    total = page.locator("#board tbody tr").count()
    page.click("#board thead th:nth-child(2) button")
    page.click("#board thead th:nth-child(2) button")
    shown = page.eval_on_selector_all("#board tbody tr:not([hidden]) th", "cells => cells.map(c => c.innerText)")
    first = page.eval_on_selector_all("#board tbody th", "cells => cells.slice(0, 100).map(c => c.textContent)")
    last = page.eval_on_selector_all("#board tbody th a", "cells => cells.at(-1).textContent")

    assert total > 150
    assert len(shown) == 100
    assert page.locator("#more").is_visible()
    assert [text.split()[0] for text in shown] == [text.split()[0] for text in first]
    page.fill("#filter", last)
    assert page.locator(ROWS).count() >= 1
    assert page.locator("#more").is_hidden()
    page.fill("#filter", "copy")
    assert page.text_content("#status").startswith("The first 100 of ")
    page.fill("#filter", "")
    page.click("#more")
    assert page.locator(ROWS).count() == total


def test_who_is_ranked_and_who_is_not(page):
    """Two methods have rank sets, the one that edits nothing says why it has none, controls are marked."""
    assert "not ranked: not shown to be better than the control identity" in page.inner_text("#board")
    assert page.locator("#board tr.control").count() == 3
    assert page.locator("#board .rank").count() == 4


def test_a_hostile_caption_is_shown_as_text(page, tmp_path):
    """Captions are the benchmark's; were one hostile, the data of the items page could still not end their element."""
    html = f'<script type="application/json" id="values">{script_json({"caption": f"</script>{HOSTILE}"})}</script>'
    (tmp_path / "page.html").write_text(f'<meta charset="utf-8">{html}')
    go(page, tmp_path, "page.html")

    caption = page.evaluate("JSON.parse(document.getElementById('values').textContent).caption")
    assert caption == f"</script>{HOSTILE}"


@pytest.mark.parametrize("name", ["few/v1/index.html", "few/v1/methods/good.html", "reported.html"])
def test_a_hostile_name_is_shown_as_text(page, site, name):
    """Markup, quotes, templates, right-to-left signs: what a title holds is seen, and does nothing."""
    go(page, site, name)

    assert page.locator("img[src=x]").count() == 0
    assert page.locator("script").count() == 1
    assert "{{ 7*7 }}" in page.inner_text("main")


def test_a_phone_does_not_scroll_sideways(page, site):
    """Wide tables scroll in their own frame; every page itself fits, with a title of 10,000 characters too."""
    page.set_viewport_size(PHONE)
    widths = {}
    for name in ("index", "few/v1/index", "few/v1/methods/lazy", "few/v1/items", "few/v1/compare", "read", "submit",
                 "reported"):  # fmt: skip
        go(page, site, f"{name}.html")
        widths[name] = page.evaluate("document.documentElement.scrollWidth")

    assert {name: width for name, width in widths.items() if width > PHONE["width"]} == {}


def test_the_dark_is_dark(page):
    """Who prefers dark gets light text on a dark page, the intervals included."""
    page.emulate_media(color_scheme="dark")
    paper, ink = page.evaluate("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")

    assert brightness(paper) < 50
    assert brightness(ink) > 200


def brightness(colour):
    """Mean of the channels of a CSS colour."""
    return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(",")[:3])) / 3


def test_intervals_are_drawn_on_the_scale_of_their_column(page):
    """The mean's mark lies inside its interval's bar, and the best entry's right of the worst's."""
    rows = page.eval_on_selector_all(
        "#board .ci", "all => all.map(e => ['--l', '--w', '--m'].map(n => parseFloat(e.style.getPropertyValue(n))))"
    )

    assert len(rows) == 18
    assert all(0 <= left <= dot + 0.1 and dot <= left + width + 0.1 for left, width, dot in rows)
    assert max(left + width for left, width, _ in rows) == pytest.approx(100, abs=0.2)


def test_two_entries_can_be_compared(page, site):
    """Two choices lead to the row of one method's page that is about the other, tested beforehand."""
    go(page, site, "few/v1/compare.html")
    page.select_option("#one", "good")
    page.select_option("#other", "lazy")
    page.click("#go")

    assert page.url.endswith("methods/good.html#vs-lazy")
    assert "+0.958" in page.inner_text("#vs-lazy")


def test_an_item_shows_every_entry_on_it(page, site):
    """Choosing an item lists all entries' values there, as they are in the downloads."""
    item = "shapes-00-reshape"
    go(page, site, "few/v1/items.html")
    page.click(f"text={item}")
    shown = dict(row.split("\t")[:2] for row in page.inner_text("#item-rows").splitlines())
    with (site / "few/v1/data/scores.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if (row["item_id"], row["metric"]) == (item, "edit_success")]

    assert {name: float(value) for name, value in shown.items()} == {r["method"]: float(r["value"]) for r in rows}


def test_reported_rows_are_never_sorted_with_computed_ones(page):
    """The literature has its own table, without sort buttons, whatever its numbers."""
    assert "Old method" not in page.inner_text("#board")
    assert page.locator(".reported button").count() == 0
    assert "99.0" in page.inner_text(".reported table")


def test_the_guide_is_searched(page, site):
    """Words lead to the passages that hold them all, each with its page; nothing typed, all pages are listed."""
    go(page, site, "guide/index.html")
    page.fill("#words", "column headings")
    assert page.locator("#found li").count() > 0
    assert not page.locator("#topics").is_visible()
    page.locator("#found a").first.click()
    assert page.locator("article.guide h1").count() == 1
