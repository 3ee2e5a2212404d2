"""The page of votes in a real browser: nothing is cut at any width, nothing in a name acts, and axe finds nothing."""

from dataclasses import replace

import pytest

from evalkit.comparison.votes.compare import compare_votes
from evalkit.report.page.votes import write_votes_page
from evalkit.votes.records import write_votes
from evalkit.voting.gallery import gallery_of
from tests.report.test_page_in_browser import HOSTILE, opened_page
from tests.support.browser import OVERFLOW, accessibility_faults, chromium
from tests.support.votes import simulated_votes
from tests.support.voting import opened

pytestmark = pytest.mark.browser
OPEN = "() => document.querySelectorAll('details').forEach((folded) => { folded.open = true; })"


@pytest.fixture(scope="module")
def browser():
    """One browser for all tests."""
    with chromium() as chrome:
        yield chrome


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Pages by name, each with a gallery: four methods with edit types, and hostile names on two questions."""
    root, found = tmp_path_factory.mktemp("pages"), {}
    demo = simulated_votes({"ours": 1.2, "theirs": 0.4, "twin": 0.0, "identity": -1.0})
    hostile = [
        vote.model_copy(update={"criterion": name, "rater": f"{HOSTILE[0]} {vote.rater}"})
        for name in HOSTILE[1:3]
        for vote in simulated_votes(dict.fromkeys(HOSTILE, 0.0))
    ]
    for name, votes, asked in (("demo", demo, "Make it red."), ("hostile", hostile, HOSTILE[0])):
        votes = [
            vote.model_copy(update={"item_id": f"item{int(vote.item_id[-2:]) % 6}", "group": None}) for vote in votes
        ]
        write_votes(root / f"{name}.jsonl", votes)
        comparison = compare_votes(root / f"{name}.jsonl", by="edit_type")
        edits = opened(root / name, texts={"instruction": asked})
        methods = [row.method for row in comparison.criteria[0].result.ranking.methods]
        named = tuple(replace(each, name=method) for each, method in zip(edits.methods, methods, strict=False))
        found[name] = root / f"{name}.html"
        write_votes_page(comparison, found[name], gallery_of(comparison, votes, replace(edits, methods=named)))
    return found


@pytest.mark.parametrize("width", [390, 768, 1280])
@pytest.mark.parametrize("name", ["demo", "hostile"])
def test_nothing_is_cut(browser, files, name, width):
    """No table, figure or text is wider than its place, closed or opened, and nothing in a name acts."""
    page = opened_page(browser, files[name], {"width": width, "height": 800})
    assert page.evaluate(OVERFLOW) == []
    page.evaluate(OPEN)
    assert page.evaluate(OVERFLOW) == []
    assert page.evaluate("window.hit") is None
    assert page.wrong == []
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_accessible(browser, files, width, scheme):
    """The rules of axe find nothing, folded or opened, in the light and in the dark."""
    page = opened_page(browser, files["demo"], {"width": width, "height": 800}, color_scheme=scheme)
    assert accessibility_faults(page) == []
    page.evaluate(OPEN)
    assert accessibility_faults(page) == []
    page.close()


def test_the_first_screen_holds_the_answer_and_the_abilities(browser, files):
    """At 1280 × 800 the sentence, all methods and the figure of abilities are seen without scrolling."""
    page = opened_page(browser, files["demo"], {"width": 1280, "height": 800})
    bottoms = "nodes => nodes.map((node) => node.getBoundingClientRect().bottom)"
    for shown in (".answer >> nth=0", ".means >> nth=0", ".wide svg >> nth=0"):
        assert 0 < max(page.eval_on_selector_all(shown, bottoms)) < 800
    page.close()


def test_two_edits_are_compared_with_a_slider(browser, files):
    """A picture of the gallery opens beside its source; the other edit can be chosen; Escape closes it."""
    page = opened_page(browser, files["demo"], {"width": 1280, "height": 800})
    assert page.locator("article.item").count() > 6
    page.focus("article.item .edit .picture >> nth=0")
    page.keyboard.press("Enter")
    assert page.locator("#viewer").is_visible()
    assert page.text_content("#viewer-title") == page.text_content("article.item h4 >> nth=0")
    first = page.get_attribute("#under", "src")
    page.select_option("#right", index=2)
    assert page.get_attribute("#under", "src") != first
    assert accessibility_faults(page) == []
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()
    assert page.wrong == []
    page.close()


def test_a_question_is_chosen_from_a_list(browser, files):
    """One question is seen at a time, with its own pairs; the viewer steps through these alone."""
    page = opened_page(browser, files["hostile"], {"width": 1280, "height": 800})
    seen = "nodes => nodes.map((node) => node.checkVisibility())"
    assert page.eval_on_selector_all("details.criterion", seen) == [True, False]
    page.select_option("#criterion", index=1)
    assert page.eval_on_selector_all("details.criterion", seen) == [False, True]
    own = page.locator("details.criterion >> nth=1").locator("article.item")
    titles = own.locator("h5").all_text_contents()
    own.locator(".picture").first.click()
    stepped = []
    for _ in titles:
        stepped.append(page.text_content("#viewer-title"))
        page.click("#next")
    assert stepped == titles
    assert page.text_content("#viewer-title") == titles[0]
    assert accessibility_faults(page) == []
    assert page.wrong == []
    page.close()


def test_without_scripts_questions_are_folded_under_their_headings(browser, files):
    """The first is open, the others open by their heading, and the list that needs a script is not there."""
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(files["hostile"].as_uri())
    items = page.locator("details.criterion >> nth=1").locator("article.item")
    assert page.locator("details.criterion >> nth=0").locator("article.item").first.is_visible()
    assert not items.first.is_visible()
    assert not page.locator("#criterion").is_visible()
    page.click("details.criterion >> nth=1 >> summary")
    assert items.first.is_visible()
    context.close()
