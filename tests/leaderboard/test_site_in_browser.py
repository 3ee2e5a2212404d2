"""The site, in a real browser: it sorts, filters and links, by mouse and by keys, on a phone, in the dark, unharmed."""

import csv

import pytest

from evalkit.leaderboard.ranking import rank_board
from evalkit.leaderboard.site.against import Comparisons, pairs_by_method
from evalkit.leaderboard.site.build import write_lists
from evalkit.leaderboard.site.render import Site
from evalkit.leaderboard.site.summary import overview
from evalkit.report.page.render import script_data
from tests.support.boards import FEW, HOSTILE, SITE, few, known
from tests.support.browser import OVERFLOW, accessibility_faults, chromium
from tests.support.crowded import crowded

pytestmark = pytest.mark.browser
PHONE = {"width": 390, "height": 844}
ROWS = "#board tbody tr:visible"
BOARD = "few/v1/index.html"
KINDS = (
    "index", "few/v1/index", "few/v1/items", "few/v1/items/shapes-00-reshape", "few/v1/methods/lazy",
    "few/v1/methods/good", "few/v1/compare/good", "reported", "read", "guide/index", "guide/scoring",
)  # fmt: skip
"""A page of every kind."""


@pytest.fixture(scope="module")
def site(small_site):
    """The built site."""
    return small_site[1]


@pytest.fixture(scope="module")
def browser():
    """One browser for all tests."""
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def crowd(small_leaderboard, tmp_path_factory):
    """The lists of a board of 300 entries, and the page that compares one of them with the others."""
    with known():
        board = crowded(rank_board(FEW, small_leaderboard.entries("few/v1")))
        written = Site(SITE, tmp_path_factory.mktemp("crowd"), ["few/v1"])
        items, summary = write_lists(written, board, few(), [])
    written.page("index.html", "index.html", "index", boards=[summary], overview=overview([summary]))
    one = next(row.entry for row in board.rows if row.entry.method == "drawn_000")
    Comparisons(items, summary).write(written, one, pairs_by_method(board)[one.method])
    return written.output


@pytest.fixture
def page(browser, site, tmp_path_factory):
    """The board; the test fails if anything goes wrong in it, or asks for anything but files of the site."""
    wrong = []
    opened = browser.new_page(viewport={"width": 1280, "height": 800})
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda failure: wrong.append(str(failure)))
    opened.on(
        "request",
        lambda asked: (
            None
            if asked.url.startswith((f"file://{tmp_path_factory.getbasetemp()}/", "about:"))
            else wrong.append(asked.url)
        ),
    )
    go(opened, site)
    yield opened
    assert wrong == []
    assert opened.evaluate("window.hit") is None
    opened.close()


def go(page, site, name=BOARD):
    """To a page of the site."""
    page.goto("about:blank")  # an address that differs in its end only would not be loaded again
    page.goto(f"file://{site / name}")


def test_the_board_opens_on_the_answer(page):
    """Ranks, method and the metrics that rank are seen at once, the best first; the others wait to be chosen."""
    heads = page.locator("#board thead th:visible").all_inner_texts()
    assert [head.split("\n")[0].strip(" ↑↓") for head in heads[1:]] == [
        "Rank", "Method", "edit_success", "attribute_preservation", "Verified",
    ]  # fmt: skip
    first, second = (page.locator(ROWS).nth(place) for place in (0, 1))
    assert first.locator("td").nth(1).inner_text().split()[0] == "1–2"
    assert second.locator("a").first.inner_text() == "Fair"
    assert page.locator("#board").evaluate("t => t.getBoundingClientRect().top") < 420
    assert "edit_success ↑" in page.locator(".answer").first.inner_text()


def test_every_column_sorts(page):
    """A click brings the best first, another the worst; rows without a value stay last; a screen reader is told."""
    for column, direction in ((4, "descending"), (3, "ascending"), (5, "descending")):
        head = page.locator(f"#board thead th:nth-child({column})")
        found = []
        for _ in range(2):
            head.locator("button").click()
            found.append(head.get_attribute("aria-sort"))
        assert found == [direction, {"ascending": "descending"}.get(direction, "ascending")]
    values = page.eval_on_selector_all("#board tbody tr td:nth-child(5)", "cells => cells.map(c => +c.dataset.v)")
    assert values == sorted(values)
    assert "Sorted by attribute_preservation ↑, ascending" in page.text_content("#status")


def test_the_board_can_be_used_by_keys_alone(page):
    """Columns sort, rows open and are ticked by keys; the first thing in the page skips to the content."""
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus("#board thead th:nth-child(3) button")
    page.keyboard.press("Enter")
    assert page.get_attribute("#board thead th:nth-child(3)", "aria-sort") == "ascending"
    page.focus("tr[data-name=fair] .open")
    page.keyboard.press("Enter")
    assert page.get_attribute("tr[data-name=fair] .open", "aria-expanded") == "true"
    assert "clip_score" in page.inner_text(".details")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert page.is_checked("tr[data-name=fair] input")
    page.focus("[name=q]")
    page.keyboard.type("reference")
    assert page.locator(ROWS).count() == 1


def test_the_board_can_be_filtered_and_its_address_keeps_how(page):
    """By name, licence, verification, and what a method is; what was chosen is there again when the page is."""
    page.click(".choosers summary")
    for name, n in (("ranked", 2), ("clean", 6), ("masks", 0), ("free", 0)):
        page.check(f"[name={name}]")
        assert page.locator(ROWS).count() == n, name
        page.uncheck(f"[name={name}]")
    page.select_option("[name=level]", "self-scored")
    page.select_option("[name=licence]", "MIT")
    assert page.locator(ROWS).count() == 6
    page.check("#columns input >> nth=0")
    page.fill("[name=q]", "fair")
    assert page.text_content("#status") == "1 rows shown."
    page.reload()
    assert page.locator(ROWS).count() == 1
    assert page.locator("#board thead th:visible").nth(5).inner_text().startswith("clip_score")


def test_who_is_ranked_and_who_is_not(page):
    """Two methods have rank sets, the one that edits nothing says why it has none, controls are marked."""
    assert page.locator("#unranked + ul li").count() == 1
    assert "not shown to be better than the control identity" in page.inner_text("#unranked + ul")
    assert page.locator("#board tr.control").count() == 3
    assert page.locator("#board .rank").count() == 2
    assert page.locator("#board .set").count() == 2
    assert page.locator(".wide .plot .best").count() + page.locator(".wide .plot .dot").count() == 2


def test_a_hostile_caption_is_shown_as_text(page, site):
    """Captions are the benchmark's; were one hostile, the data of a page could still not end their element."""
    html = f'<script type="application/json" id="values">{script_data({"caption": f"</script>{HOSTILE}"})}</script>'
    (site / "page.html").write_text(f'<meta charset="utf-8">{html}')
    go(page, site, "page.html")
    (site / "page.html").unlink()

    caption = page.evaluate("JSON.parse(document.getElementById('values').textContent).caption")
    assert caption == f"</script>{HOSTILE}"


@pytest.mark.parametrize("name", [BOARD, "few/v1/methods/good.html", "reported.html", "index.html"])
def test_a_hostile_name_is_shown_as_text(page, site, name):
    """Markup, quotes, templates, right-to-left signs: what a title holds is seen, and does nothing."""
    go(page, site, name)

    assert page.locator("img[src=x]").count() == 0
    assert page.locator("script").count() == 1
    assert "{{ 7*7 }}" in page.inner_text("main")


@pytest.mark.parametrize("width", [390, 768, 1280, 1920])
def test_nothing_is_cut(page, site, width):
    """No table, figure or text is wider than its place, closed or opened, with a title of 10,000 characters too."""
    page.set_viewport_size({"width": width, "height": 800})
    found = {}
    for name in KINDS:
        go(page, site, f"{name}.html")
        cut = page.evaluate(OVERFLOW)
        page.evaluate("() => document.querySelectorAll('details').forEach((folded) => { folded.open = true; })")
        found[name] = {*cut, *page.evaluate(OVERFLOW)}

    assert {name: cut for name, cut in found.items() if cut} == {}


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_it_is_accessible(page, site, width, scheme):
    """The rules of axe find nothing on a page of any kind, on a phone in the dark and on a desktop in the light."""
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    found = {}
    for name in KINDS:
        go(page, site, f"{name}.html")
        if width == 390:
            page.click(".menu summary")
        elif name == "few/v1/index":
            page.click(".choosers summary")
            page.click(".open >> nth=0")
            page.check(".tick input >> nth=0")
            page.check(".tick input >> nth=1")
        found[name] = accessibility_faults(page)

    assert {name: faults for name, faults in found.items() if faults} == {}


def test_a_phone_shows_ranks_and_the_metrics_that_rank(page, site):
    """On 390 px the navigation is one line, rank, method and both metrics are on the screen, and pages are short."""
    page.set_viewport_size(PHONE)
    go(page, site)
    assert page.locator("header nav").evaluate("n => n.getBoundingClientRect().height") < 50
    assert page.get_attribute(".menu a[aria-current]", "href") == "../../few/v1/index.html"
    rights = page.locator("#board thead th:visible").evaluate_all("h => h.map(n => n.getBoundingClientRect().right)")
    assert len(rights) == 5
    assert max(rights) <= 390
    assert page.locator("#board tbody tr").first.locator(".span:visible").count() == 2
    lengths = {}
    for name in (BOARD, "few/v1/items.html", "few/v1/compare/good.html", "index.html"):
        go(page, site, name)
        lengths[name] = page.evaluate("document.documentElement.scrollHeight")
    assert {name: length for name, length in lengths.items() if length > 6_000} == {}


def test_intervals_are_drawn_on_the_scale_of_their_column(page):
    """The mean's mark lies inside its interval's bar, and the best entry's right of the worst's."""
    rows = page.eval_on_selector_all(
        "#board .ci", "all => all.map(e => ['--l', '--w', '--m'].map(n => parseFloat(e.style.getPropertyValue(n))))"
    )

    assert len(rows) == 18
    assert all(0 <= left <= dot + 0.1 and dot <= left + width + 0.1 for left, width, dot in rows)
    assert max(left + width for left, width, _ in rows) == pytest.approx(100, abs=0.2)


def test_two_entries_are_compared_with_one_click(page, site):
    """Two ticks lead to all numbers of the pair, and to who wins on each item, as the downloads have it."""
    page.check("tr[data-name=good] input")
    page.check("tr[data-name=lazy] input")
    page.click("#go")

    assert page.url.endswith("compare/good.html#vs-lazy")
    assert "+0.958" in page.inner_text("#pair-metrics")
    assert "inconclusive, 11 groups needed at least" in page.inner_text("#pair-metrics tbody tr >> nth=0")
    with (site / "few/v1/data/pairs.csv").open() as file:
        pair = next(
            r for r in csv.DictReader(file) if (r["metric"], {r["a"], r["b"]}) == ("edit_success", {"good", "lazy"})
        )
    won = pair["win"] if pair["b"] == "good" else pair["loss"]
    assert page.inner_text("#tally").split(" · ")[0].endswith(f" wins: {won}")
    page.click("#pair-items .picture >> nth=1")
    assert page.locator("#left").evaluate("s => s.selectedOptions[0].textContent") == "source"
    assert page.locator("#under").evaluate("i => i.naturalWidth") > 0
    page.keyboard.press("Escape")
    page.select_option("#other", "fair")
    page.wait_for_function("document.getElementById('pair-title').textContent.endsWith('against Fair')")


def test_an_item_shows_every_entry_on_it(page, site):
    """The list of items leads to a page with every entry's picture and values, as they are in the downloads."""
    item = "shapes-00-reshape"
    go(page, site, "few/v1/items.html")
    page.fill("[name=q]", item)
    page.click(f"text={item}")
    names = page.locator("article figcaption").all_inner_texts()
    assert names[0] == "source"
    assert len(names[1:]) == len({*names[1:]}) == 6
    assert {"Fair", "Identity", "Shuffled_Source", "Reference"} < {*names}
    shown = page.eval_on_selector_all(
        ".data tbody tr", "rows => rows.map(r => [r.querySelector('a').getAttribute('href'), r.cells[1].dataset.v])"
    )
    with (site / "few/v1/data/scores.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if (row["item_id"], row["metric"]) == (item, "edit_success")]

    assert {link.split("/")[-1].removesuffix(".html"): float(v) for link, v in shown} == {
        r["method"]: float(r["value"]) for r in rows
    }


def test_reported_rows_are_never_sorted_with_computed_ones(page):
    """The literature has its own table, without sort buttons, whatever its numbers."""
    assert "Old method" not in page.inner_text("#board")
    assert page.locator(".reported button").count() == 0
    assert "99.0" in page.text_content(".reported table")


def test_the_guide_is_searched(page, site):
    """Words lead to the sections that hold most of them, each with its page; nothing typed, all pages are listed."""
    go(page, site, "guide/index.html")
    page.fill("#words", "captions csv columns")
    assert "Captions" in page.locator("#found a").first.inner_text()
    page.fill("#words", "column headings")
    assert page.locator("#found li").count() > 0
    assert not page.locator("#topics").is_visible()
    page.locator("#found a").first.click()
    assert page.locator("article.guide h1").count() == 1


def test_it_reads_without_its_script(browser, site):
    """Without JavaScript every row and every metric is there, in a frame that scrolls, and every link."""
    opened = browser.new_page(viewport={"width": 1280, "height": 800}, java_script_enabled=False)
    go(opened, site)
    assert opened.locator(ROWS).count() == 6
    assert opened.locator("#board thead th:visible").count() == 13
    assert opened.locator("form:visible").count() == 0
    opened.close()


def test_three_hundred_entries_are_searched_filtered_sorted_and_compared(page, crowd):
    """A page of less than 1 MB shows fifty rows until all are asked for; every choice knows all of them."""
    assert (crowd / BOARD).stat().st_size < 1_000_000
    go(page, crowd)
    assert page.locator(ROWS).count() == 50
    assert page.text_content("#count") == "The first 50 of 303 rows shown."
    page.click("#board thead th:nth-child(5) button")
    best = page.locator(ROWS).first.locator("td").nth(3).get_attribute("data-v")
    assert float(best) == max(
        page.eval_on_selector_all("#board tbody tr", "rows => rows.map(r => +r.cells[4].dataset.v)")
    )
    page.click(".choosers summary")
    page.check("[name=free]")
    page.check("[name=masks]")
    page.select_option("[name=licence]", "Apache-2.0")
    page.fill("[name=q]", "drawn 29")
    assert page.locator(ROWS).count() == 2
    page.fill("[name=q]", "")
    assert page.text_content("#count") == "50 rows shown."
    page.uncheck("[name=free]")
    page.uncheck("[name=masks]")
    page.select_option("[name=licence]", "")
    page.click("#more")
    assert page.locator(ROWS).count() == 303
    page.check("tr[data-name=drawn_000] input")
    page.check("tr[data-name=drawn_299] input")
    page.click("#go")
    page.wait_for_selector("#pair")
    assert page.text_content("#pair-title") == "Drawn 0 against Drawn 299"
    assert page.locator("#pair-metrics tbody tr").count() == 3


def test_three_hundred_entries_are_read_on_every_screen(page, crowd):
    """Nothing of their pages is cut at any width, and axe finds nothing."""
    names = ("index", "few/v1/index", "few/v1/items", "few/v1/items/shapes-00-reshape", "few/v1/compare/drawn_000")
    for width in (390, 768, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        found = {}
        for name in names:
            go(page, crowd, f"{name}.html")
            found[name] = page.evaluate(OVERFLOW)
        assert {name: cut for name, cut in found.items() if cut} == {}
    go(page, crowd)
    assert accessibility_faults(page) == []
