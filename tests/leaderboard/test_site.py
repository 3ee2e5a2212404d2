"""The built site: its links, its downloads, and what keeps it from being built."""

import csv
import html
import json
import shutil
from html.parser import HTMLParser

import pytest

from evalkit.comparison.statements import boards
from evalkit.errors import EntryError
from evalkit.guide import TOPICS
from evalkit.leaderboard.site.build import build
from evalkit.leaderboard.store import Leaderboard
from tests.support.boards import N_ITEMS


def test_every_link_leads_somewhere(small_site):
    """Every link and picture of every page is a file of the site, and every anchor an element of it."""
    pages = {path: Links(path.read_text()) for path in small_site[1].rglob("*.html")}
    # The first page, two about the site, the guide, and of the board two lists, every item, and each entry twice.
    assert len(pages) == 1 + 2 + 1 + len(TOPICS) + 2 + N_ITEMS + 2 * 6
    for path, page in pages.items():
        assert len(page.ids) == len(set(page.ids)), path
        for link in page.links:
            if link.startswith(("http", "data:")):
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
        self.links += [found["src"]] if "src" in found else []


def rows_of(site, name):
    """The rows of a CSV among the downloads."""
    with (site / "few/v1/data" / name).open() as file:
        return list(csv.DictReader(file))


def test_downloads_hold_what_is_shown(small_site):
    """board.json has the ranks and means, scores.csv every score, pairs.csv every pair on every metric."""
    site = small_site[1]
    found = json.loads((site / "few/v1/data/board.json").read_text())

    assert {e["method"]: e["metrics"]["edit_success"]["mean"] for e in found["entries"]}["reference"] == 1
    assert len(rows_of(site, "scores.csv")) == 6 * N_ITEMS * 3
    assert len(rows_of(site, "pairs.csv")) == 15 * 3
    assert [row["method"] for row in rows_of(site, "board.csv")] == [entry["method"] for entry in found["entries"]]


def test_a_site_is_not_built_from_what_does_not_verify(small_site, tmp_path):
    """One changed number keeps the whole site from being built, and is named."""
    tampered = Leaderboard(tmp_path / "leaderboard")
    shutil.copytree(small_site[0].root, tampered.root)
    with (tampered.entry_path("few/v1", "good") / "items.jsonl").open("a") as file:
        file.write("\n")

    with pytest.raises(EntryError, match="The site is not built: 1 problem, the first in entries/few/v1/good"):
        build(tampered, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_the_site_has_the_guide(small_site):
    """Every page of the guide is there, its tables as tables, other pages as links and its placeholders as text."""
    guide = small_site[1] / "guide"
    assert {path.stem for path in guide.glob("*.html")} == {*TOPICS, "index"}
    assert '<a href="scoring.html"><code>evalkit guide scoring</code></a>' in (guide / "questions.html").read_text()
    scoring = (guide / "scoring.html").read_text()
    assert "<table>" in scoring
    assert "&lt;item_id&gt;" in scoring
    assert (
        len(json.loads((guide / "index.html").read_text().split('type="application/json">')[1].split("</script>")[0]))
        > 200
    )


def test_a_judge_has_a_table_of_its_own_and_its_words_are_text(small_site):
    """The board says that it ranks nobody, a method's page shows answers as text, and every answer is a download."""
    board, site = small_site
    page = (site / "few/v1/index.html").read_text()
    method = (site / "few/v1/methods/good.html").read_text()
    (judged,) = board.find("few/v1/good").judged
    found = json.loads((site / "few/v1/data/board.json").read_text())["judges"]
    words = site / f"few/v1/data/good.{judged.name}.judgements.jsonl"

    assert boards.JUDGES in html.unescape(page)
    assert "Shown, and ranks nobody" in page
    assert "<script>window.hit" not in page + method
    assert html.escape("<script>window.hit=1</script>") in method
    assert words.read_bytes() == (judged.path / "judgements.jsonl").read_bytes()
    assert [(table["judge"], table["ranks_by"]) for table in found] == [(judged.identity, None)]
    assert {entry["method"]: entry["rank_low"] for entry in found[0]["entries"]} == dict.fromkeys(
        ("fair", "good", "identity")
    )


def test_votes_have_a_table_of_their_own(small_site):
    """The board says that they rank nobody, what a collector wrote is text, and every vote is a download."""
    board, site = small_site
    page = (site / "few/v1/index.html").read_text()
    (path,) = board.votes_paths()
    (found,) = json.loads((site / "few/v1/data/board.json").read_text())["votes"]

    assert html.escape("Simulated people") in page
    assert "the protocol does not say that votes on this question rank" in page
    assert "<script>window.hit" not in page
    assert (site / "few/v1/data/people.votes.jsonl").read_bytes() == (path / "votes.jsonl").read_bytes()
    assert not found["ranks"]
    assert {entry["method"] for entry in found["entries"]} == {"good", "fair", "lazy", "identity"}
