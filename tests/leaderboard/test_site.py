"""The site, in a real browser: it sorts, filters and links, by mouse and by keys, on a phone, in the dark, unharmed."""

import csv
import json
import re
import shutil
import subprocess
import sys
import urllib.request
from html.parser import HTMLParser

import pytest
import yaml

from evalkit.errors import EntryError
from evalkit.leaderboard.site.build import build
from evalkit.leaderboard.store import Leaderboard
from tests.support.boards import HOSTILE, N_ITEMS, SITE, known
from tests.support.browser import chromium

PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module", autouse=True)
def small_benchmark(tmp_path_factory):
    """Every test knows the small benchmark."""
    with known(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def board(small_leaderboard, tmp_path_factory):
    """A leaderboard with a hostile title, one of 10,000 characters, and a reported table."""
    root = tmp_path_factory.mktemp("board") / "leaderboard"
    shutil.copytree(small_leaderboard.root, root)
    board = Leaderboard(root)
    shutil.copytree(SITE, board.root / "site")
    reported = {
        "benchmark": "few",
        "title": HOSTILE,
        "citation": "Somebody, 2020",
        "where": "table 1",
        "encoder": "not stated",
        "n_items": None,
        "uncertainty": "none was reported",
        "columns": {"CLIP": "100 times cos"},
        "rows": [{"title": "Old method", "values": {"CLIP": 99.0}, "per_item_tuning": "yes"}],
    }
    (board.root / "reported").mkdir()
    (board.root / "reported" / "old.yaml").write_text(yaml.safe_dump(reported))
    return board


@pytest.fixture(scope="module")
def site(board, tmp_path_factory):
    """The built site."""
    output = tmp_path_factory.mktemp("site")
    build(board, output)
    return output


@pytest.fixture(scope="module")
def browser():
    """One browser for all tests."""
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser):
    """A page that fails the test if anything goes wrong in it, or asks for anything but files of the site."""
    wrong = []
    opened = browser.new_page()
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda failure: wrong.append(str(failure)))
    opened.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else wrong.append(asked.url))
    yield opened
    assert wrong == []
    assert opened.evaluate("window.hit") is None
    opened.close()


def opened(page, site, name="few/v1/index.html"):
    """A page of the site."""
    page.goto(f"file://{site / name}")
    return page


def column(page, number):
    """The texts of one column of the board, as they stand."""
    return page.eval_on_selector_all(f"#board tbody tr > :nth-child({number})", "cells => cells.map(c => c.innerText)")


def test_the_board_sorts_by_each_column(page, site):
    """A click sorts up, another down; rows without a value stay last; a screen reader is told."""
    opened(page, site)
    page.click("#board thead th:nth-child(4) button")
    up = page.eval_on_selector_all("#board tbody tr td:nth-child(4)", "cells => cells.map(c => Number(c.dataset.v))")
    page.click("#board thead th:nth-child(4) button")
    down = page.eval_on_selector_all("#board tbody tr td:nth-child(4)", "cells => cells.map(c => Number(c.dataset.v))")

    assert up == sorted(up)
    assert down == sorted(up, reverse=True)
    assert page.get_attribute("#board thead th:nth-child(4)", "aria-sort") == "descending"
    assert "Sorted by edit_success" in page.text_content("#status")


def test_the_board_can_be_used_by_keys_alone(page, site):
    """A column's button takes the focus and Enter sorts; the first thing in the page skips to the content."""
    opened(page, site)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus("#board thead th:nth-child(2) button")
    page.keyboard.press("Enter")
    assert page.get_attribute("#board thead th:nth-child(2)", "aria-sort") == "ascending"
    page.focus("#filter")
    page.keyboard.type("reference")
    assert page.locator("#board tbody tr:visible").count() == 1


def test_the_board_can_be_filtered(page, site):
    """By text, by verification, to those that are ranked; the number of rows is announced."""
    opened(page, site)
    page.check("#ranked")
    assert page.locator("#board tbody tr:visible").count() == 2
    page.uncheck("#ranked")
    page.select_option("#level", "self-scored")
    assert page.locator("#board tbody tr:visible").count() == 6
    page.fill("#filter", "no such method")
    assert page.locator("#board tbody tr:visible").count() == 0
    assert page.text_content("#status") == "0 rows shown."


def test_a_long_board_is_laid_out_a_hundred_rows_at_a_time(page, site):
    """Sorting and filtering know every row; those after the first hundred found are shown when asked for."""
    opened(page, site)
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

    assert total > 150
    assert len(shown) == 100
    assert page.locator("#more").is_visible()
    first = page.eval_on_selector_all("#board tbody th", "cells => cells.slice(0, 100).map(c => c.textContent)")
    assert [text.split()[0] for text in shown] == [text.split()[0] for text in first]
    last = page.eval_on_selector_all("#board tbody th a", "cells => cells.at(-1).textContent")
    page.fill("#filter", last)
    assert page.locator("#board tbody tr:visible").count() >= 1
    assert page.locator("#more").is_hidden()
    page.fill("#filter", "copy")
    assert page.text_content("#status").startswith("The first 100 of ")
    page.fill("#filter", "")
    page.click("#more")
    assert page.locator("#board tbody tr:visible").count() == total


def test_who_is_ranked_and_who_is_not(page, site):
    """Two methods have rank sets, the one that edits nothing says why it has none, controls are marked."""
    opened(page, site)
    text = page.inner_text("#board")

    assert "not ranked: not better than the control identity" in text
    assert page.locator("#board tr.control").count() == 3
    assert page.locator("#board .rank").count() == 4


def test_a_hostile_caption_is_shown_as_text(page, site, tmp_path):
    """Captions are the benchmark's; were one hostile, the data of the items page could still not end their element."""
    from evalkit.leaderboard.site.build import script_json

    html = f'<script type="application/json" id="values">{script_json({"caption": f"</script>{HOSTILE}"})}</script>'
    (tmp_path / "page.html").write_text(f'<meta charset="utf-8">{html}')
    opened(page, tmp_path, "page.html")
    read = page.evaluate("JSON.parse(document.getElementById('values').textContent).caption")

    assert read == f"</script>{HOSTILE}"


def test_every_link_leads_somewhere(browser, site):
    """Every link of every page is a file of the site, and every anchor an element of it."""
    pages = {path: Links(path.read_text()) for path in site.rglob("*.html")}
    for path, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), path
        for link in page.links:
            if link.startswith("http"):
                continue
            target, _, anchor = link.partition("#")
            there = (path.parent / target).resolve() if target else path
            assert there.is_file(), (path, link)
            assert not anchor or anchor in pages[there].ids, (path, link)


class Links(HTMLParser):
    """What a page links to, and the ids in it."""

    def __init__(self, html):
        super().__init__()
        self.links, self.ids = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        """Every element."""
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if found.get("href", "#") != "#" else []
        assert "src" not in found or found["src"].startswith("data:"), found


@pytest.mark.parametrize("name", ["few/v1/index.html", "few/v1/methods/good.html", "reported.html"])
def test_a_hostile_name_is_shown_as_text(page, site, name):
    """Markup, quotes, templates, right-to-left signs: what a title holds is seen, and does nothing."""
    opened(page, site, name)

    assert page.locator("img[src=x]").count() == 0
    assert page.locator("script").count() == 1
    assert "{{ 7*7 }}" in page.inner_text("main")


@pytest.mark.parametrize("name", ["index.html", "few/v1/index.html", "few/v1/methods/lazy.html", "few/v1/items.html",
                                  "few/v1/compare.html", "read.html", "submit.html", "reported.html"])  # fmt: skip
def test_a_phone_does_not_scroll_sideways(page, site, name):
    """Wide tables scroll in their own frame; the page itself fits, with a title of 10,000 characters too."""
    page.set_viewport_size(PHONE)
    opened(page, site, name)

    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_the_dark_is_dark(page, site):
    """Who prefers dark gets light text on a dark page, the intervals included."""
    page.emulate_media(color_scheme="dark")
    opened(page, site)
    paper, ink = page.evaluate("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")

    assert brightness(paper) < 50
    assert brightness(ink) > 200


def brightness(colour):
    """Mean of the channels of a CSS colour."""
    return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(",")[:3])) / 3


def test_intervals_are_drawn_on_the_scale_of_their_column(page, site):
    """The mean's mark lies inside its interval's bar, and the best entry's right of the worst's."""
    opened(page, site)
    rows = page.eval_on_selector_all(
        "#board .ci", "all => all.map(e => ['--l', '--w', '--m'].map(n => parseFloat(e.style.getPropertyValue(n))))"
    )

    assert len(rows) == 18
    assert all(0 <= left <= dot + 0.1 and dot <= left + width + 0.1 for left, width, dot in rows)
    assert max(left + width for left, width, _ in rows) == pytest.approx(100, abs=0.2)


def test_two_entries_can_be_compared(page, site):
    """Two choices lead to the row of one method's page that is about the other, tested beforehand."""
    opened(page, site, "few/v1/compare.html")
    page.select_option("#one", "good")
    page.select_option("#other", "lazy")
    page.click("#go")

    assert page.url.endswith("methods/good.html#vs-lazy")
    assert "+0.958" in page.inner_text("#vs-lazy")


def test_an_item_shows_every_entry_on_it(page, site):
    """Choosing an item lists all entries' values there, as they are in the downloads."""
    opened(page, site, "few/v1/items.html")
    page.click("text=shapes-00-reshape")
    shown = dict(row.split("\t")[:2] for row in page.inner_text("#item-rows").splitlines())
    with (site / "few/v1/data/scores.csv").open() as file:
        rows = [
            r for r in csv.DictReader(file) if r["item_id"] == "shapes-00-reshape" and r["metric"] == "edit_success"
        ]

    assert {name: float(value) for name, value in shown.items()} == {r["method"]: float(r["value"]) for r in rows}


def test_downloads_hold_what_is_shown(site, board):
    """board.json has the ranks and means, scores.csv every score, pairs.csv every pair on every metric."""
    found = json.loads((site / "few/v1/data/board.json").read_text())
    means = {one["method"]: one["metrics"]["edit_success"]["mean"] for one in found["entries"]}
    with (site / "few/v1/data/scores.csv").open() as file:
        scores = list(csv.DictReader(file))
    with (site / "few/v1/data/pairs.csv").open() as file:
        pairs = list(csv.DictReader(file))

    assert means["reference"] == 1
    assert len(scores) == 6 * N_ITEMS * 3
    assert len(pairs) == 15 * 3


def test_reported_rows_are_never_sorted_with_computed_ones(page, site):
    """The literature has its own table, without sort buttons, whatever its numbers."""
    opened(page, site)

    assert "Old method" not in page.inner_text("#board")
    assert page.locator(".reported button").count() == 0
    assert "99.0" in page.inner_text(".reported table")


def test_a_site_is_not_built_from_what_does_not_verify(board, tmp_path):
    """One changed number keeps the whole site from being built, and is named."""
    shutil.copytree(board.root, tmp_path / "leaderboard")
    tampered = Leaderboard(tmp_path / "leaderboard")
    with (tampered.entry_path("few/v1", "good") / "items.jsonl").open("a") as file:
        file.write("\n")

    with pytest.raises(EntryError, match="The site is not built: 1 problem, the first in entries/few/v1/good"):
        build(tampered, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_the_site_can_be_looked_at(site):
    """Serve shows it on this machine, at the address that it prints."""
    command = [sys.executable, "-m", "evalkit", "leaderboard", "serve", "--site", str(site), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        address = re.search(r"http://127.0.0.1:\d+/", server.stdout.readline()).group()
        with urllib.request.urlopen(f"{address}few/v1/index.html") as answer:
            shown = answer.read().decode()
        server.terminate()

    assert shown == (site / "few/v1/index.html").read_text()
